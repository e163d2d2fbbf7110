#!/usr/bin/env bash
# torch 2.13.0 (CPU): the Hessian by torch.func of a Function whose backward is marked @once_differentiable is silently zero.
#
# Guess before running: an error, since the mark says that there is no second derivative.
# Seen: torch.func.jacrev(torch.func.grad(f)) returns zeros without an error or a warning for f(x) = sum x^2, whose Hessian is 2 I. Only plain
# autograd raises. So a curvature tool that is built on torch.func calls such a loss flat.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
cat >"$work/run.py" <<'PYTHON'
import torch
from torch.autograd.function import once_differentiable


class Square(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def loss(x):
    return Square.apply(x).sum()


at = torch.tensor([1.0, 2.0])
print("gradient", torch.func.grad(loss)(at).tolist())
print("jacrev of grad", torch.func.jacrev(torch.func.grad(loss))(at).tolist())
x = at.clone().requires_grad_()
(gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
try:
    torch.autograd.grad(gradient.sum(), x)
    print("autograd: no error")
except RuntimeError as error:
    print("autograd:", str(error).split(" a grad_fn")[0])
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
gradient [2.0, 4.0]
jacrev of grad [[0.0, 0.0], [0.0, 0.0]]
autograd: element 0 of tensors does not require grad and does not have
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
