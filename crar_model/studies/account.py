"""The account of a pack in training: how far it is, and what was taken more than once."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from crar_model.core.files import StrPath, write_text
from crar_model.training.runner import Progress

TELL_EVERY = 2.0
"""Seconds between two words on how far a pack is."""
STRETCHES, BEGIN = "stretches", "begin"
"""The account of a pack's updates, and the word that begins a stretch of it."""


def teller(folder: StrPath) -> Progress:
    """Progress that keeps the updates taken, of all members: now and then in `at`, for the client, and all of them in `stretches`."""
    folder = Path(folder)
    state, begun = {"at": time.monotonic()}, list[bool]()

    def tell(done: int, _: int) -> None:
        with suppress(OSError), (folder / STRETCHES).open("a", encoding="utf-8") as log:  # an account, not a result: it may be short
            log.write(f"{done}\n" if begun else f"{BEGIN}\n{done}\n")
        begun.append(True)
        if time.monotonic() - state["at"] >= TELL_EVERY:
            state["at"] = time.monotonic()
            write_text(folder / "at", f"{done}\n")

    return tell


def repeated(log: StrPath) -> int:
    """Updates, of all members of a pack, that were taken more than once, because a stretch was killed after its last checkpoint.

    Args:
        log: the file `stretches` of a pack: every stretch begins with a word and where it goes on from. What a killed stretch did after its
            last line is not in it, at most the updates between two looks at whether to stop.
    """
    try:
        parts = Path(log).read_text(encoding="utf-8", errors="replace").split(BEGIN)
    except OSError:
        return 0
    stretches = [[int(word) for word in part.split() if word.isdecimal()] for part in parts]
    stretches = [stretch for stretch in stretches if stretch]
    return sum(max(0, before[-1] - after[0]) for before, after in pairwise(stretches))
