#!/usr/bin/env bash
# gymnasium 1.4.0: the vector RecordEpisodeStatistics forgets the running episodes of all copies when one copy is reset by options["reset_mask"].
#
# Guess before running: with autoreset disabled, reset(options={"reset_mask": ended}) begins only the named episodes anew, statistics too:
# the wrapper has code for just that.
# Seen: the environment inside takes the mask out of the caller's dictionary before the wrapper looks for it, so the wrapper clears every copy.
# Episodes of 2 and 3 steps, one reward a step, are reported as 2, 1, 2 and as 1, 2. The single-environment wrapper inside each copy is right.
# The dictionary comes back empty, too: whoever keeps one and resets by it again resets all copies.
# Why it matters: mean returns and lengths by seed are too low, by an amount that depends on how the copies' ends fall.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 gymnasium==1.4.0
cat >"$work/run.py" <<'PYTHON'
import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics as Single
from gymnasium.wrappers.vector import RecordEpisodeStatistics as Vector


class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(4)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length):
        self.length, self.place = length, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return 0, {}

    def step(self, action):
        self.place += 1
        return self.place, 1.0, self.place == self.length, False, {}


def lengths(wrap_each):
    made = [lambda length=length: Single(Corridor(length)) if wrap_each else Corridor(length) for length in (2, 3)]
    envs = SyncVectorEnv(made, autoreset_mode=AutoresetMode.DISABLED)
    if not wrap_each:
        envs = Vector(envs)
    envs.reset(seed=0)
    seen = ([], [])
    for _ in range(6):
        _, _, ended, _, infos = envs.step(np.zeros(2, dtype=int))
        for copy in np.flatnonzero(ended):
            seen[copy].append(int(infos["episode"]["l"][copy]))
        if ended.any():
            options = {"reset_mask": ended.copy()}
            envs.reset(options=options)
    return f"{list(seen)}, the options afterwards {options}"


print("a wrapper in each copy:", lengths(wrap_each=True))
print("one vector wrapper:", lengths(wrap_each=False))
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
a wrapper in each copy: [[2, 2, 2], [3, 3]], the options afterwards {}
one vector wrapper: [[2, 1, 2], [1, 2]], the options afterwards {}
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
