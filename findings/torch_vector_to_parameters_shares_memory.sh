#!/usr/bin/env bash
# torch 2.13.0 (CPU): after vector_to_parameters(vector, parameters) the network lives in the vector: training it overwrites the vector.
#
# Guess before running: "Copy slices of a vector into an iterable of parameters", says the documentation, so the vector is safe.
# Seen: each parameter's data becomes a view of the vector. One step of SGD moves the vector along, so the barrier from the saved minimum to the
# trained network is measured between a point and itself: distance 0. Two networks filled from one vector train each other.
# `theta = parameters_to_vector(...).detach()` before is a copy, so the usual round trip has one safe half and one that is not.
# Why it matters: paths, planes and distances from a minimum that was kept as a vector come out as zero, or as those of another network.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
cat >"$work/run.py" <<'PYTHON'
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def step(model):
    model(torch.ones(4, 3)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return parameters_to_vector(model.parameters()).detach()


minimum = torch.linspace(-1, 1, 8)
kept = minimum.clone()
first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
vector_to_parameters(minimum, first.parameters())
vector_to_parameters(minimum, second.parameters())
trained = step(first)
print(f"way of the step: from the vector {(trained - minimum).norm():.3f}, from a copy made before {(trained - kept).norm():.3f}")
print(f"the other network moved by {(parameters_to_vector(second.parameters()).detach() - kept).norm():.3f}")
first, minimum = torch.nn.Linear(3, 2), kept.clone()
vector_to_parameters(minimum.clone(), first.parameters())
print(f"filled from a clone: from the vector {(step(first) - minimum).norm():.3f}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
way of the step: from the vector 0.000, from a copy made before 1.131
the other network moved by 1.131
filled from a clone: from the vector 1.131
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
