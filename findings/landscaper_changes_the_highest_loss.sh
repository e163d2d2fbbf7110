#!/usr/bin/env bash
# Landscaper 1.3.1 with torch 2.13.0 (CPU): compute_loss_landscape adds noise to the highest loss of every landscape, and puts means in the place of NaN.
#
# Guess before running: the array holds "the loss values" that its documentation promises, those of the given function at the points of the grid.
# Seen: the highest cell is not what the function returned, and differs between two calls with the same input; all others are. A NaN comes back as the mean
# of the other losses, an infinite loss as the highest of them. Nothing is said of either.
# Why it matters: merge trees and persistence are read off these values, so their highest pair changes with the run; and a region where a network diverges
# looks like an average one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 landscaper==1.3.1
cat >"$work/run.py" <<'PYTHON'
import contextlib
import io

import numpy as np
import torch
from landscaper.compute import compute_loss_landscape

torch.manual_seed(0)
model = torch.nn.Linear(6, 3)
x, y = torch.randn(20, 6), torch.randint(3, (20,))
directions = [[torch.randn_like(value) for value in model.parameters()] for _ in range(2)]


def landscape(change=lambda loss, number: loss):
    returned = []

    def loss(model, data):
        returned.append(change(float(torch.nn.functional.cross_entropy(model(data[0]), data[1])), len(returned)))
        return returned[-1]

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found, _ = compute_loss_landscape(model, (x, y), directions, loss, steps=5, distance=1.0, dim=2, device="cpu")
    return np.array(returned).reshape(5, 5), found


returned, first = landscape()
_, second = landscape()
off = first != returned
print(f"cells that are not what the function returned: {off.sum()} of 25, the highest: {bool(off.flat[returned.argmax()])}")
print(f"cells in which two calls with the same input differ: {(first != second).sum()}")
returned, found = landscape(lambda loss, number: float("nan") if number == 12 else float("inf") if number == 3 else loss)
finite = returned[np.isfinite(returned)]
print(f"NaN in the middle comes back as the mean of the others: {bool(np.isclose(found.flat[12], finite.mean()))}; not finite in the result: {(~np.isfinite(found)).sum()}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
cells that are not what the function returned: 1 of 25, the highest: True
cells in which two calls with the same input differ: 1
NaN in the middle comes back as the mean of the others: True; not finite in the result: 0
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
