"""`crar_model.gather`: the command of this name as a function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.fresh import fresh
from crar_model.core.sizes import STEP_OF_TILES, check_one

if TYPE_CHECKING:
    from crar_model.mazes.walks import Walk


def gather(
    out: StrPath, *, size: int = 200_000, seed: int = 0, inverse: bool = False, legacy_astar: bool = False, force: bool = False
) -> Walk:
    """Save a random policy's walk through drawn maps as tile maps, as `crar gather` does.

    Args:
        out: the file, *.npz.
        size: transitions.
        seed: of maps and policy; member k of `train` uses seed + k.
        inverse: observe the inverse maze.
        legacy_astar: a quirk: draw maps as the released code does.
        force: write over a file that is there.

    Returns:
        the walk.

    Raises:
        UserError: for another kind of file, one that is there, or a size that memory does not hold.
    """
    if Path(out).suffix != ".npz":
        raise UserError(f"--out is {out}; give a file that ends in .npz")
    check_one("size", size, STEP_OF_TILES)
    fresh(out, force=force)
    from crar_model.mazes.walks import gather_walk, save_walk

    walk = gather_walk(seed, size, inverse=inverse, legacy_astar=legacy_astar)
    save_walk(Path(out), walk)
    return walk
