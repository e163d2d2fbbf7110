#!/usr/bin/env bash
# msgspec 0.23.0: a record that was read from JSON is written back without the fields that had their default.
#
# Guess before running: convert({"seed": 1}, Run) equals Run(1), so both are encoded the same.
# Seen: they are equal, and the encodings differ. `convert` sets neither the constructor nor plain defaults (they are found on the class), and `to_builtins`
# and `json.encode` go through what the instance itself has. A default_factory is filled in, and a dataclass with slots has all its fields.
# Why it matters: results that are read, changed and written lose columns, and a default that changes in a later version rewrites old results.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check msgspec==0.23.0
cat >"$work/run.py" <<'PYTHON'
from dataclasses import asdict, dataclass, field

import msgspec


@dataclass(frozen=True)
class Run:
    seed: int
    rate: float = 0.5
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    seed: int
    rate: float = 0.5


read, made = msgspec.convert({"seed": 1}, Run), Run(1)
print("equal", read == made, "asdict", asdict(read) == asdict(made))
print("read", msgspec.json.encode(read).decode(), "made", msgspec.json.encode(made).decode())
print("slots", msgspec.json.encode(msgspec.convert({"seed": 1}, Slotted)).decode())
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected='equal True asdict True
read {"seed":1,"notes":[]} made {"seed":1,"rate":0.5,"notes":[]}
slots {"seed":1,"rate":0.5}'
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
