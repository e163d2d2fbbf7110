#!/usr/bin/env bash
# minigrid 3.2.0 with gymnasium 1.4.0: asking the observation space of any MiniGrid environment whether it can be flattened raises NotImplementedError.
#
# Guess before running: `Space.is_np_flattenable` is a property with a yes or a no; the documentation calls it "checks whether this space can be flattened
# to a gymnasium.spaces.Box".
# Seen: MissionSpace does not override it, so that the property of the mission raises, and with it that of the whole Dict. Image and direction say True;
# Gymnasium's own Text says True.
# Why it matters: code that looks before it flattens, so as to leave out what is no number, has to catch the error or to know the class by name.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check minigrid==3.2.0 gymnasium==1.4.0
cat >"$work/run.py" <<'PYTHON'
import warnings

import gymnasium
import minigrid  # registers the environments

warnings.simplefilter("ignore")
space = gymnasium.make("MiniGrid-Empty-5x5-v0").observation_space


def asked(one):
    try:
        return one.is_np_flattenable
    except NotImplementedError:
        return "NotImplementedError"


for name, one in (*space.items(), ("all three", space), ("a text of Gymnasium's", gymnasium.spaces.Text(9))):
    print(f"{name}: {asked(one)}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py" 2>/dev/null)
echo "$seen"
expected=$(cat <<'SEEN'
direction: True
image: True
mission: NotImplementedError
all three: NotImplementedError
a text of Gymnasium's: True
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
