"""What `crar_model.train` and `crar_model.transfer` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model.core.words import html_table

if TYPE_CHECKING:
    import xarray as xr

    from crar_model.models.checkpoints import Checkpoint
    from crar_model.training.members import Member, Plan
    from crar_model.training.runner import RunResult


@dataclass(frozen=True, repr=False)
class Run:
    """A training that ended, or was stopped and saved.

    Attributes:
        plan: settings, members and variant.
        result: what it left, as `run_plan` returns it.
    """

    plan: Plan
    result: RunResult

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.result.folder

    @property
    def models(self) -> tuple[Path, ...]:
        """Checkpoints, one a member, in order; none where it was stopped before the first update."""
        return self.result.members

    @property
    def members(self) -> tuple[Member, ...]:
        """Seed, learning rate and base of every member."""
        return self.plan.members

    @property
    def finished(self) -> bool:
        """False after a stop; `resume=True` goes on."""
        return self.result.finished

    @property
    def diverged(self) -> Mapping[int, int]:
        """Member -> update at which it was no longer finite."""
        return self.result.diverged

    @property
    def losses(self) -> xr.Dataset:
        """The loss log: one variable a term, dimensions `member` and `update`, with coordinates `seed`, `learning_rate` and `base`; a row that was
        not logged is NaN.

        Raises:
            UserError: when the run has not written one yet.
        """
        import numpy as np
        import xarray as xr

        from crar_model.training.log import ABOUT, read_losses

        columns = read_losses(self.folder)
        (_, row), (updates, column) = (np.unique(columns[name], return_inverse=True) for name in ("member", "update"))
        numbers = np.arange(len(self.members))
        data = {}
        for name in [name for name in columns if name not in ABOUT]:
            table = np.full((len(numbers), len(updates)), np.nan)
            table[row, column] = columns[name]
            data[name] = (("member", "update"), table)
        coords: dict[str, Any] = {"member": numbers, "update": updates.astype(np.int64)}
        coords |= {name: ("member", [getattr(one, name) for one in self.members]) for name in ("seed", "learning_rate", "base")}
        return xr.Dataset(data, coords=coords)

    def load(self, member: int = 0) -> Checkpoint:
        """The model of a member.

        Raises:
            UserError: for a file that is not there or damaged.
        """
        from crar_model.models.checkpoints import load_checkpoint

        return load_checkpoint(self.folder / f"member-{member}.pt")

    def __repr__(self) -> str:
        """A line instead of all settings."""
        state = "finished" if self.finished else "stopped"
        return (
            f"Run({self.plan.variant.name}, {len(self.members)} members x {self.plan.settings.updates:,} updates, {state}, {self.folder})"
        )

    def _repr_html_(self) -> str:
        if not (self.folder / "losses.csv").exists():
            return f"<p>{escape(repr(self))}</p>"
        last = self.losses.isel(update=-1)
        names = ("total", "transition")
        rows = [
            (k, one.seed, f"{one.learning_rate:g}", *(f"{float(last[name][k]):.3g}" for name in names))
            for k, one in enumerate(self.members)
        ]
        return f"<p>{escape(repr(self))}</p>" + html_table(("member", "seed", "learning rate", *names), rows)
