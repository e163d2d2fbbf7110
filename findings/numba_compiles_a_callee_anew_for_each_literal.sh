#!/usr/bin/env bash
# numba 0.68.1: a jitted function that is called from another one with a number written out is compiled anew for each such number.
#
# Guess before running: inner(x, 2), inner(x, 3) and inner(x, 4) are three calls of one signature, (float64, int64).
# Seen: three signatures, Literal[int](2), (3) and (4), each with machine code of its own. A number that reaches the call through a variable is a
# literal, too, and so is a flag. Called from Python, the same numbers share one signature; with a signature given to the decorator there is one.
# Why it matters: layer sizes, modes and flags written out at the calls of a kernel multiply its compile time, and cached code is larger.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check numpy==2.4.6 numba==0.68.1 llvmlite==0.50.0
cat >"$work/run.py" <<'PYTHON'
import numba


@numba.njit
def inner(x, k):
    return x * k


@numba.njit
def outer(x):
    mode = 5
    return inner(x, 2) + inner(x, 3) + inner(x, 4) + inner(x, mode)


@numba.njit
def plain(x, k):
    return x * k


@numba.njit("float64(float64, int64)")
def declared(x, k):
    return x * k


@numba.njit
def through(x):
    return declared(x, 2) + declared(x, 3)


outer(1.0), through(1.0)
for k in (2, 3, 4, 5):
    plain(1.0, k)
print([str(signature[1]) for signature in inner.signatures])
print("from Python", [str(signature[1]) for signature in plain.signatures], "declared", len(declared.signatures))
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected="['Literal[int](2)', 'Literal[int](3)', 'Literal[int](4)', 'Literal[int](5)']
from Python ['int64'] declared 1"
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
