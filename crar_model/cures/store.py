"""What a cure keeps on disk, so that it goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crar_model.core.errors import UserError
from crar_model.core.files import misfit
from crar_model.core.tensor_files import load_plain, save_plain

FORM = "crar-cure-piece"


class Store:
    """Named pieces of unfinished work, as plain tensors and plain data.

    Args:
        folder: where they lie; None keeps nothing.
        fingerprint: of the problem and the settings; pieces of another one are not read.
    """

    def __init__(self, folder: Path | None = None, fingerprint: str = "") -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def read(self, name: str) -> dict[str, Any] | None:
        """A piece, or None where there is none of this work.

        Raises:
            UserError: for a damaged file, or one of another kind.
        """
        path = self._path(name)
        if path is None or not path.exists():
            return None
        content = load_plain(path)
        if misfit(content, {"fingerprint": str, "piece": dict}):
            raise UserError(f"{path}: not unfinished work of a cure; remove it, and it is made again")
        piece: dict[str, Any] = content["piece"]
        return piece if content["fingerprint"] == self.fingerprint else None

    def write(self, name: str, piece: dict[str, Any]) -> None:
        """Keep a piece, atomically."""
        path = self._path(name)
        if path is not None:
            save_plain(path, FORM, {"fingerprint": self.fingerprint, "piece": piece})

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.pt"
