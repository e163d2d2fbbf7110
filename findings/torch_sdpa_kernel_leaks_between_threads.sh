#!/usr/bin/env bash
# torch 2.13.0 (CPU): two overlapping torch.nn.attention.sdpa_kernel blocks in two threads leave the whole process on the math kernel.
#
# Guess before running: the choice of a block ends with it, or belongs to its thread.
# Seen: the switches belong to the process, and a block puts back what it found. Where the second block begins inside the first and ends after it, it
# puts back the first one's choice, and flash and memory-efficient attention stay off for all later calls. Nothing is said.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0
cat >"$work/run.py" <<'PYTHON'
import threading

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def flags():
    return torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()


print("before: flash, efficient, math", flags())
first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()


def first():
    with sdpa_kernel(SDPBackend.MATH):
        first_in.set()
        second_in.wait()
    first_out.set()


def second():
    first_in.wait()
    with sdpa_kernel(SDPBackend.MATH):
        second_in.set()
        first_out.wait()


threads = [threading.Thread(target=first), threading.Thread(target=second)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("after both have left:", flags())
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
before: flash, efficient, math (True, True, True)
after both have left: (False, False, True)
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
