#!/usr/bin/env bash
# gymnasium 1.4.0: in a vector environment the first copy that reports an info key fixes its type, and the other copies' values are cut to it.
#
# Guess before running: infos["share"] holds what each copy reported, or the types are widened as numpy does (int and float give float).
# Seen: copy 0 reports the integer 0 or 1 (none or all of the keys found), the others 0.5, 0.75 and 0.9; the array is int64 and says 0 for all three,
# while the mask says that all four reported. With a float from copy 0, or in another order, the same values are right. Arrays fare alike.
# Why it matters: a rate of success read from infos is too low without a word, and it depends on the order of the copies.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 gymnasium==1.4.0
cat >"$work/run.py" <<'PYTHON'
import gymnasium
import numpy as np


class Keys(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, share):
        self.share = share

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, 0.0, False, False, {"share": self.share, "of_each": np.array([self.share, self.share])}


for shares in ([1, 0.5, 0.75, 0.9], [1.0, 0.5, 0.75, 0.9], [0.5, 0.75, 0.9, 1]):
    envs = gymnasium.vector.SyncVectorEnv([lambda share=share: Keys(share) for share in shares])
    envs.reset(seed=0)
    infos = envs.step(np.zeros(4, dtype=int))[4]
    print(f"{shares}: share {infos['share'].tolist()}, reported {infos['_share'].tolist()}, of_each {infos['of_each'][:, 0].tolist()}")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py")
echo "$seen"
expected=$(cat <<'SEEN'
[1, 0.5, 0.75, 0.9]: share [1, 0, 0, 0], reported [True, True, True, True], of_each [1, 0, 0, 0]
[1.0, 0.5, 0.75, 0.9]: share [1.0, 0.5, 0.75, 0.9], reported [True, True, True, True], of_each [1.0, 0.5, 0.75, 0.9]
[0.5, 0.75, 0.9, 1]: share [0.5, 0.75, 0.9, 1.0], reported [True, True, True, True], of_each [0.5, 0.75, 0.9, 1.0]
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
