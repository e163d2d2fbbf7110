"""Damaged copies of a file, and what reading them does. As a program: `python -m tests.corruption FILE --copies 1000`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from crar_model.core.errors import UserError
from crar_model.core.tensor_files import content_digest
from crar_model.models.checkpoints import load_checkpoint


def flipped(whole: bytes, rng: np.random.Generator) -> bytes:
    """One to four bits turned over."""
    copy = bytearray(whole)
    for at in rng.integers(0, len(whole), rng.integers(1, 5)):
        copy[at] ^= 1 << int(rng.integers(8))
    return bytes(copy)


def zeroed(whole: bytes, rng: np.random.Generator) -> bytes:
    """A stretch of 1 to 4,096 bytes set to 0, as a lost disk block is."""
    at, size = int(rng.integers(len(whole))), int(2 ** rng.uniform(0, 12))
    return whole[:at] + bytes(len(whole[at : at + size])) + whole[at + size :]


def spliced(whole: bytes, rng: np.random.Generator) -> bytes:
    """A stretch that holds what belongs elsewhere in the file."""
    size = int(2 ** rng.uniform(0, 14))
    at, other = rng.integers(0, max(1, len(whole) - size), 2)
    piece = whole[other : other + size]
    return whole[:at] + piece + whole[at + len(piece) :]


def truncated(whole: bytes, rng: np.random.Generator) -> bytes:
    """The file's first part."""
    return whole[: rng.integers(len(whole))]


WAYS: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "flipped": flipped, "zeroed": zeroed, "spliced": spliced, "truncated": truncated,
}  # fmt: skip


def damaged(whole: bytes, copies: int, seed: int, head: int | None = None) -> Iterator[tuple[str, bytes]]:
    """(way, bytes) of damaged copies, in turn by every way.

    Args:
        whole: the sound file.
        copies: how many.
        seed: the same seed gives the same copies.
        head: damage only the first bytes, where names and plain data stand; None damages anywhere.
    """
    rng = np.random.default_rng(seed)
    for number in range(copies):
        way = list(WAYS)[number % len(WAYS)]
        part = whole[:head]
        rest = b"" if head is None or way == "truncated" else whole[head:]
        yield way, WAYS[way](part, rng) + rest


def campaign(read: Callable[[Path], Any], copies: Iterator[tuple[str, bytes]], folder: Path, sound: str) -> Counter[tuple[str, str]]:
    """Read damaged copies.

    Args:
        read: gives plain data of a file.
        copies: from :func:`damaged`.
        folder: where they are written.
        sound: digest of what the sound file gives.

    Returns:
        (way, outcome) -> copies; an outcome is "refused", "unchanged" (the damage hit nothing that is read), "changed", or the type of an
        error that is not the one-line one.
    """
    outcomes: Counter[tuple[str, str]] = Counter()
    path = folder / "copy.pt"
    for way, content in copies:
        path.write_bytes(content)
        try:
            outcome = "unchanged" if content_digest(read(path)) == sound else "changed"
        except UserError as error:
            outcome = "refused" if str(error).startswith(str(path)) and "\n" not in str(error) else "not one line"
        except Exception as error:
            outcome = type(error).__name__
        outcomes[way, outcome] += 1
    return outcomes


def checkpoint_content(path: Path) -> dict[str, Any]:
    """All that a checkpoint gives."""
    model = load_checkpoint(path)
    return {"maze": model.maze, "inverse": model.inverse, "updates": model.updates, "info": model.info, "parameters": model.parameters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a sound checkpoint")
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sound = content_digest(checkpoint_content(given.file))
    with TemporaryDirectory() as folder:
        found = campaign(checkpoint_content, damaged(given.file.read_bytes(), given.copies, given.seed), Path(folder), sound)
    for (way, outcome), count in sorted(found.items()):
        print(f"{way:<10} {outcome:<12} {count}")


if __name__ == "__main__":
    main()
