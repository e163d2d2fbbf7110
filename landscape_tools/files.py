"""Files that are old or new, never half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def written(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a full disk leaves the one that was there, or none; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):  # a full disk, for one
            os.unlink(temporary)
