"""The rule of every --out: what lies there already is not touched unknowingly."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath, find_json, is_empty

COMMANDS = (
    "train",
    "transfer",
    "study",
    "verdicts",
    "evaluate",
    "landscape",
    "cure",
    "predict",
    "maps",
    "compare",
    "escape",
    "claims",
    "theorem",
    "trajectory",
    "report",
    "explain",
    "play",
    "gather",
    "import",
    "demo",
    "version",
)
"""All that `crar` does, in the order in which one needs them."""


def fresh(out: StrPath, *, force: bool = False, other: str = "", own: str = "", flag: str = "--out") -> None:
    """Hold the rule of every --out.

    Args:
        out: a file or folder to write.
        force: whether the user said that it may be.
        other: another flag that allows it, for the error.
        own: the command whose folder alone may be gone on with; "" for a command that writes over what is there.
        flag: that names it.

    Raises:
        UserError: where something lies there, or what another command wrote.
    """
    out = Path(out)
    if force and own and (there := maker(out)) not in ("", own):
        raise UserError(f"{out}: holds what `crar {there}` wrote; choose another {flag}")
    if not force and (out.is_file() or not is_empty(out)):
        raise UserError(f"{out}: exists already; add {other or '--force'} or choose another {flag}")


def maker(folder: StrPath) -> str:
    """The command that wrote a folder, by what it left there; "" where nothing says."""
    for name, command in (("run.json", "train"), ("study.json", "study")):
        if Path(folder, name).exists():
            return command
    words: list[str] = []
    with suppress(UserError):  # damaged, it says nothing
        words = str((find_json(Path(folder, "results.json"), dict, "") or {}).get("command", "")).split()
    return words[1] if words[:1] == ["crar"] and words[1:2] and words[1] in COMMANDS else ""


def ending(path: StrPath, suffix: str, flag: str = "--out") -> Path:
    """The path of a file of a kind, told by its ending in small or large letters.

    Raises:
        UserError: for another kind of file.
    """
    if Path(path).suffix.lower() != suffix:
        raise UserError(f"{flag} is {path}; give a file that ends in {suffix}")
    return Path(path)
