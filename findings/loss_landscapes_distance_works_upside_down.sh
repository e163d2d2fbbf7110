#!/usr/bin/env bash
# loss-landscapes 3.0.6 with torch 2.13.0 (CPU): a larger `distance` of random_line and random_plane looks less far, since it is divided by.
#
# Guess before running: distance is, as its documentation says, the "maximum distance in parameter space from the start point".
# Seen: the farthest point of a line is |weights| / distance away: 2, 1, 0.5 and 0.25 norms of the weights for distances 0.5, 1, 2 and 4, whatever the
# normalization. A plane reaches that over the square root of two at its corner. Only at the default of 1 does it not show.
# Why it matters: whoever widens a plane until something is seen gets a flatter and flatter picture, and reads it as a flat minimum.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 loss-landscapes==3.0.6
cat >"$work/run.py" <<'PYTHON'
import loss_landscapes
import torch
from loss_landscapes.metrics.metric import Metric

torch.manual_seed(0)
model = torch.nn.Linear(20, 10)
start = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()


class Away(Metric):
    def __call__(self, wrapper):
        here = torch.cat([p.detach().flatten() for p in wrapper.get_module_parameters().parameters])
        return float((here - start).norm() / start.norm())


for distance in (0.5, 1, 2, 4):
    found = []
    for normalization in ("filter", None):
        line = loss_landscapes.random_line(model, Away(), distance, 8, normalization, deepcopy_model=True)
        found.append(f"line ({normalization}) {line.max():.2f}")
    plane = loss_landscapes.random_plane(model, Away(), distance, 8, None, deepcopy_model=True)
    print(f"distance {distance}: farthest point in norms of the weights: {', '.join(found)}, plane {plane.max():.2f}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
distance 0.5: farthest point in norms of the weights: line (filter) 2.00, line (None) 2.00, plane 1.41
distance 1: farthest point in norms of the weights: line (filter) 1.00, line (None) 1.00, plane 0.71
distance 2: farthest point in norms of the weights: line (filter) 0.50, line (None) 0.50, plane 0.35
distance 4: farthest point in norms of the weights: line (filter) 0.25, line (None) 0.25, plane 0.18
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
