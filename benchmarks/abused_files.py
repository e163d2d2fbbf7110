"""Files and folders of every kind that commands read, and how they are spoilt."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crar_model import samples

PUBLISHED = Path(__file__).parent.parent / "reports" / "published"
RESULTS = ("claims", "cures", "escape")
"""Published results that are copied, since a case may write into them."""
STUDY = """name = "small"
[[bases]]
name = "simple"
maze = "simple"
seeds = 2
updates = 4
data_size = 20
[[transfers]]
bases = "simple"
variants = ["freeze", "scratch"]
updates = 4
"""
ROOM = "######\n#...S#\n#....#\n#....#\n######\n"


def world(folder: Path) -> dict[str, Path]:
    """Valid inputs by name, made once: checkpoints, runs, folders of results, a walk, networks, a layout and a study."""
    paths = {
        "base": samples.BASE, "failed": samples.FAILED, "random": samples.RANDOM_BASE, "run": folder / "run", "transfer": folder / "moved",
        **{name: folder / name for name in RESULTS}, "study": folder / "study.toml", "walk": folder / "walk.npz",
        "network": folder / "network.npz", "first": folder / "first.pt", "second": folder / "second.pt",
        "walls": folder / "room.txt", "config": folder / "flags.toml", "empty": folder / "empty", "done": folder / "done",
    }  # fmt: skip
    if not (folder / "empty").exists():
        for name in RESULTS:
            shutil.copytree(PUBLISHED / name, folder / name)
        small = ["--members", "1", "--updates", "4", "--data-size", "20", "--workers", "1"]
        crar("train", *small, "--snapshots", "--checkpoint-interval", "1", "--out", str(paths["run"]))
        crar("transfer", "--from", str(samples.BASE), *small, "--out", str(paths["transfer"]))
        crar("gather", "--size", "50", "--out", str(paths["walk"]))
        shapes = [(200, 64), (100, 200), (50, 100), (10, 50), (2, 10)]
        np.savez(paths["network"], **{f"p{k:02}": np.zeros(shape, dtype=np.float32) for k, shape in enumerate(shapes)})
        for seed, name in enumerate(("first", "second")):
            torch.manual_seed(seed)
            torch.save(network().state_dict(), paths[name])
        for name, text in (("study", STUDY), ("walls", ROOM), ("config", "seed = 3\n")):
            paths[name].write_text(text, encoding="utf-8")
        crar("study", str(paths["study"]), "--workers", "1", "--out", str(paths["done"]))
        (folder / "empty").mkdir()
    return paths


def network() -> torch.nn.Module:
    """A network of one's own, for `crar explain`."""
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """What it is measured on."""
    inputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs.sum(1) > 0).long()


def crar(*words: str) -> None:
    """Run a command that is expected to end well."""
    subprocess.run([sys.executable, "-m", "cli", *words], check=True, capture_output=True)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(max(1, len(content)))]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(content)))
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def _foreign_json(content: bytes, rng: random.Random) -> bytes:
    values: list[Any] = [
        {},
        [],
        None,
        3,
        "x",
        {"format": "crar-run"},
        {"format": "crar-run", "settings": 3},
        {"pairs": [{}]},
        [[]],
        {"kept": 1},
    ]
    return json.dumps(rng.choice(values)).encode()


def _edited_json(content: bytes, rng: random.Random) -> bytes:
    """One value of a JSON file replaced or taken away; foreign JSON where it is none."""
    try:
        whole = json.loads(content)
    except ValueError:
        return _foreign_json(content, rng)
    at = whole
    while isinstance(at, (dict, list)) and at:
        key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        if not isinstance(at[key], (dict, list)) or not at[key] or rng.random() < 0.3:
            if isinstance(at, dict) and rng.random() < 0.3:
                del at[key]
            else:
                at[key] = rng.choice([None, "x", -1, [], {}, 1e300, True, float("nan")])
            break
        at = at[key]
    return json.dumps(whole).encode()


BAD_FILES = {
    "missing": None,
    "empty": lambda content, rng: b"",
    "cut": _cut,
    "flipped": _flipped,
    "binary": lambda content, rng: rng.randbytes(200),
    "latin": lambda content, rng: "clé = é\n".encode("latin-1"),
    "mark": lambda content, rng: b"\xef\xbb\xbf" + content,
    "windows": lambda content, rng: content.replace(b"\n", b"\r\n"),
    "foreign": _foreign_json,
    "edited": _edited_json,
    "nulls": lambda content, rng: bytes(len(content) % 5000),
    "folder": None,
    "fifo-like link": None,
    "odd name": None,
}
"""What is done to a file, or to one of the files of a folder."""


def spoil(path: Path, how: str, rng: random.Random, scratch: Path) -> Path:
    """A copy of a file or folder made bad, or a path where nothing is.

    Args:
        path: what is copied.
        how: a key of :data:`BAD_FILES`; of a folder one file in it is made bad.
        rng: which one, and where.
        scratch: where the copy goes.
    """
    copy = scratch / f"{how.split(maxsplit=1)[0]}-{rng.randrange(1 << 30):x}" / path.name
    copy.parent.mkdir(parents=True)
    if how == "odd name":  # not UTF-8
        copy = Path(os.fsdecode(os.fsencode(copy.parent) + b"/\xff" + os.fsencode(path.suffix)))
    if path.is_dir():
        shutil.copytree(path, copy)
        inside = sorted(file for file in copy.rglob("*") if file.is_file() and file.stat().st_size < 1 << 22)
        texts = [file for file in inside if file.suffix in (".json", ".csv", ".toml")]  # what most commands read
        victim = rng.choice((texts if rng.random() < 0.7 else None) or inside or [copy / "new"])
    else:
        shutil.copyfile(path, copy)
        victim = copy
    change = BAD_FILES[how]
    if callable(change):
        victim.write_bytes(change(victim.read_bytes() if victim.exists() else b"", rng))
    elif how != "odd name":
        victim.unlink(missing_ok=True)
        if how == "folder":
            victim.mkdir()
        elif how == "fifo-like link":
            victim.symlink_to(victim)  # a loop
    return copy
