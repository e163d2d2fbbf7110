#!/usr/bin/env bash
# PyHessian 0.1 with torch 2.13.0 (CPU): of several `hessian(...)` of one model, the second has the curvature of the first in it, the third that of both.
#
# Guess before running: the curvature of a model on a batch is a function of the two, whatever other objects there are.
# Seen: an object is made by loss.backward(create_graph=True), which adds to the gradients that the parameters have, with their graphs. Made for three
# batches and then asked, the objects answer for the first batch, for the sum of two, and for the sum of three: on one batch 1, 2 and 3 times the eigenvalue.
# Why it matters: who compares batches, or training and test data, reads a growth of the sharpness that is none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 pyhessian==0.1
cat >"$work/run.py" <<'PYTHON'
import warnings

import torch
from pyhessian import hessian

warnings.simplefilter("ignore")
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
x, y = torch.randn(30, 4), torch.randn(30, 1)


def top(found):
    return found.eigenvalues(maxIter=1000, tol=1e-7, top_n=1)[0][0]


def made():
    return hessian(model, torch.nn.MSELoss(), data=(x, y), cuda=False)


inputs = torch.cat((x, torch.ones(30, 1)), 1)
exact = float(torch.linalg.eigvalsh(2 * inputs.T @ inputs / 30)[-1])
print("largest eigenvalue over the exact one, of three objects of one batch:", ", ".join(f"{top(one) / exact:.3f}" for one in [made() for _ in range(3)]))
print("each made and asked before the next:", ", ".join(f"{top(made()) / exact:.3f}" for _ in range(3)))
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
largest eigenvalue over the exact one, of three objects of one batch: 1.000, 2.000, 3.000
each made and asked before the next: 1.000, 1.000, 1.000
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
