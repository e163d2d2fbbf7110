#!/usr/bin/env bash
# minari 0.5.4: a dataset in a relative folder cannot be made: the sizes of its files are asked for at twice the path.
#
# Guess before running: `MinariStorage.new` takes "str or Path: directory where the data will be stored", so a relative one will do.
# Seen: in an absolute folder two steps are written and read again. In a relative one FileNotFoundError names FOLDER/FOLDER/main_data.hdf5, for `get_size` joins the
# folder once more with paths that hold it already; for an absolute path that changes nothing. What is left behind opens as a dataset without a step.
# Why it matters: the message looks like one of a full disk or a wrong place. `Path.absolute()` avoids it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "minari[hdf5]==0.5.4" gymnasium==1.4.0 pillow==13.0.0  # which the extra does not bring
cat >"$work/run.py" <<'PYTHON'
import os
import sys
from pathlib import Path

import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

os.chdir(sys.argv[1])
episode = EpisodeBuffer(
    observations=np.zeros((3, 1), np.float32), actions=[0, 1], rewards=[0.0, 0.0], terminations=[False, True], truncations=[False, False]
)
for name, folder in (("absolute", Path.cwd() / "absolute"), ("relative", Path("relative"))):
    try:
        storage = MinariStorage.new(folder, spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2), data_format="hdf5")
        storage.update_metadata({"dataset_id": "two/steps-v0", "minari_version": minari.__version__})
        storage.update_episodes([episode])
        said = "written"
    except FileNotFoundError as error:
        said = f"FileNotFoundError: {error.filename}"
    print(f"{name}: {said}; {minari.MinariDataset(folder).total_steps} steps are read")
PYTHON
seen=$("$work/venv/bin/python" "$work/run.py" "$work" 2>/dev/null)
echo "$seen"
expected=$(cat <<'SEEN'
absolute: written; 2 steps are read
relative: FileNotFoundError: relative/relative/main_data.hdf5; 0 steps are read
SEEN
)
[ "$seen" = "$expected" ] || { echo "changed; seen before:"; echo "$expected"; exit 1; }
