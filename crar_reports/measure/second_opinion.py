"""Our lines and planes beside those of the `loss-landscapes` package, on the same points.

Version 3 evaluates a line at t = 1/steps ... 1 (never at 0); on a plane, even rows lie at (k + 1)/steps and odd rows at k/steps
along the second axis. Ours is sampled at exactly those coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from crar_model.core.params import DYNAMICS, Params, select
from crar_reports.measure.subject import Subject
from crar_reports.progress import say
from landscape_tools import difference, sample_points

PACKAGE, KNOWN = "loss-landscapes", 3
"""The package, and the major version whose points are known: another may put them elsewhere."""


def asked() -> Any:
    """The package that is asked; None where it is not installed, and with a line on standard error where its version is not known."""
    try:
        found = version(PACKAGE)
        import loss_landscapes
    except ImportError:  # an optional check
        return None
    if found.partition(".")[0] != str(KNOWN):
        say(
            f"crar: note: no second opinion: {PACKAGE} is {found}, and only version {KNOWN} is compared with; install '{PACKAGE}<{KNOWN + 1}'"
        )
        return None
    return loss_landscapes


@dataclass(frozen=True)
class SecondOpinion:
    """Largest relative differences of the total loss, and the number of points of each."""

    line: float
    plane: float
    line_points: int
    plane_points: int


class PointModel(nn.Module):
    """A parameter point as a module, for packages that take modules."""

    def __init__(self, point: Params) -> None:
        super().__init__()
        self.names = list(point)
        self.values = nn.ParameterList([nn.Parameter(point[name].clone()) for name in self.names])

    def point(self) -> Params:
        """The parameters by name."""
        return dict(zip(self.names, self.values, strict=True))


def second_opinion(subject: Subject, adapted: Params, steps: int = 6) -> SecondOpinion | None:
    """Compare on the aligned line of encoders and on encoder x dynamics; None, and a word, where the package is not what it is compared with."""
    loss_landscapes = asked()
    if loss_landscapes is None:
        return None
    failed = select(subject.failed, ("encoder", *DYNAMICS))
    one, two = failed | subject.nearest, failed | select(adapted, DYNAMICS)

    def loss(point: Params) -> dict[str, Tensor]:
        return {"total": subject.terms(point)["total"]}

    def metric(wrapper: Any) -> float:
        with torch.no_grad():
            return float(loss(wrapper.modules[0].point())["total"])

    models = [PointModel(point) for point in (failed, one, two)]
    theirs = torch.from_numpy(loss_landscapes.linear_interpolation(models[0], models[1], metric, steps, deepcopy_model=True))
    plane = torch.from_numpy(loss_landscapes.planar_interpolation(*models, metric, steps, deepcopy_model=True))
    first, second = difference(one, failed), difference(two, failed)
    t = (
        torch.arange(1, steps + 1, dtype=torch.float64) / steps
    )  # one way for all runs: "auto" goes by the clock, and ways differ in the last bits
    ours = torch.from_numpy(sample_points(loss, failed, [first], t.unsqueeze(1), vectorize="loop")["total"])
    rows = [(i / steps, (k + (i % 2 == 0)) / steps) for i in range(steps) for k in range(steps)]
    grid = torch.tensor(rows, dtype=torch.float64)
    flat = torch.from_numpy(sample_points(loss, failed, [first, second], grid, vectorize="loop")["total"])
    off = [float(torch.where(a == b, 0.0, (a - b).abs() / b.abs()).max()) for a, b in ((ours, theirs), (flat, plane.flatten()))]
    return SecondOpinion(off[0], off[1], steps, steps * steps)
