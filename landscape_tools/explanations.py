"""What is said of two trained models: figures, sentences, what to try next, one page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from landscape_tools.adaptive import AdaptivePlane
from landscape_tools.blindness import Blindness
from landscape_tools.certificates import Certificate
from landscape_tools.finite import climb
from landscape_tools.pictures import STEEP
from landscape_tools.polygons import Path
from landscape_tools.results import Result, beside, new_axes, page_of, picture
from landscape_tools.spectra import Curvature

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
SMALL = 0.01
"""Share of the larger loss of the two up to which a climb counts as none."""


@dataclass(frozen=True, repr=False)
class Explanation(Result):
    """Two models in the landscape of one loss.

    Attributes:
        t: (points,) places of both lines; `line` the loss on the straight one, `aligned` on that to the second model's copy nearest to the first, NaN
            where it was not aligned.
        distance, aligned_distance: between the models, before and after.
        alignment: what was aligned, or why not.
        path: the lowest connection found, to the aligned copy where there is one.
        spectrum_a, spectrum_b: of the Hessian at both.
        certificate_a, certificate_b: what both are; None for models too large for it.
        plane: through both and the middle of the path; `misses` what it does not show.
        loss_a, loss_b: of the two models.
    """

    t: Array
    line: Array
    aligned: Array
    distance: float
    aligned_distance: float
    alignment: str
    path: Path
    spectrum_a: Curvature
    spectrum_b: Curvature
    certificate_a: Certificate | None
    certificate_b: Certificate | None
    plane: AdaptivePlane
    misses: Blindness
    loss_a: float
    loss_b: float

    @property
    def climbs(self) -> tuple[float, float, float]:
        """Highest loss on the straight line, the aligned line and the path, above the first model's; an upper bound of what must be climbed."""
        aligned = float("nan") if np.isnan(self.aligned).all() else climb(self.aligned)
        return climb(self.line), aligned, self.path.barrier

    def lines(self) -> list[str]:
        """What was found, in sentences; what to try next comes last."""
        straight, aligned, bent = self.climbs
        names = (("first", self.spectrum_a, self.certificate_a), ("second", self.spectrum_b, self.certificate_b))
        found = [
            f"The first model has loss {self.loss_a:.4g}, the second {self.loss_b:.4g}; they lie {self.distance:.3g} apart.",
            f"On the straight line between them the loss climbs by {straight:.3g}.",
            f"{self.alignment} To it the distance is {self.aligned_distance:.3g}, and the line climbs by {aligned:.3g}."
            if not np.isnan(aligned)
            else self.alignment,
            f"A curve was found that climbs by {bent:.3g} only."
            if bent < min(straight, np.nan_to_num(aligned, nan=np.inf))
            else "No lower curve was found.",
        ]
        for name, spectrum_of, certificate in names:
            low, high = float(spectrum_of.lowest[0]), float(spectrum_of.highest[-1])
            found.append(
                f"At the {name} model curvatures reach from {low:.3g} to {high:.3g}, with a trace of {spectrum_of.trace:.3g} "
                f"({spectrum_of.trace_low:.3g} to {spectrum_of.trace_high:.3g})."
                + ("" if certificate is None else f" It is by certificate: {certificate.verdict} ({certificate.reason}).")
            )
        return [*found, *self.misses.lines()[:3], *self.next_steps()]

    def next_steps(self) -> list[str]:
        """What to try next, from the figures."""
        straight, aligned, bent = self.climbs
        least = SMALL * max(abs(self.loss_a), abs(self.loss_b))
        found = []
        lowest = min(straight, np.nan_to_num(aligned, nan=np.inf))
        if lowest <= least:
            found.append("Next: average the two models; they lie in one valley.")
        elif bent <= least:
            found.append("Next: look along the curve, not the line; models on it may be averaged by their outputs (an ensemble).")
        else:
            found.append("Next: give connect more bends or iterations before you call the two separated; the climb is an upper bound only.")
        for name, certificate in (("first", self.certificate_a), ("second", self.certificate_b)):
            if certificate is not None and certificate.verdict == "not converged":
                found.append(f"Next: train the {name} model on, or converge it, before you call it a minimum.")
            elif certificate is not None and certificate.escape is not None:
                found.append(f"Next: follow the escape of the {name} model's certificate; the loss falls to {certificate.escape.loss:.4g}.")
        if not self.plane.met:
            found.append(self._of_plane())
        return found

    def _of_plane(self) -> str:
        """Why the plane is not to be read in detail."""
        if np.isfinite(self.plane.error):
            return f"The plane is off by up to {self.plane.error:.0%} of the loss: give more evaluations before you read details of it."
        met = np.concatenate((self.plane.values, self.plane.checks[:, 2]))
        return (
            f"The loss is no finite number at {np.count_nonzero(~np.isfinite(met))} of {len(met)} places of the plane, so its error is not known. Running variances that fall "
            "below 0 away from the models do that: module_loss and data_loss take buffers='keep'."
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Both lines and the path."""
        ax = new_axes(ax)
        ax.plot(self.t, self.line, label="straight line")
        if not np.isnan(self.aligned).all():
            ax.plot(self.t, self.aligned, label="line to the aligned copy")
        ax.plot(self.path.walk.numpy(), self.path.heights.numpy(), label="curve")
        heights = np.concatenate((self.line, self.aligned, self.path.heights.numpy()))
        heights = heights[np.isfinite(heights)]
        if heights.size and heights.min() > 0 and heights.max() > STEEP * heights.min():
            ax.set_yscale("log")
        ax.set(xlabel="share of the way from the first model to the second", ylabel="loss")
        beside(ax)
        return ax

    def to_dataset(self) -> xr.Dataset:
        """The lines, with the sentences as the attribute `lines`; its parts have datasets of their own."""
        straight, aligned, bent = self.climbs
        attrs = {"loss_a": self.loss_a, "loss_b": self.loss_b, "straight_climb": straight, "aligned_climb": aligned, "curve_climb": bent}
        return xr.Dataset(
            {"line": ("t", self.line), "aligned": ("t", self.aligned)},
            coords={"t": self.t},
            attrs=attrs | {"lines": "\n".join(self.lines())},
        )

    def to_html(self) -> str:
        """One page that needs nothing else: the sentences, and a picture of every part."""
        certificates = [part for part in (self.certificate_a, self.certificate_b) if part is not None]
        parts: list[Result] = [self, self.plane, self.misses, self.spectrum_a, self.spectrum_b, *certificates]
        text = "".join(f"<p>{html.escape(line)}</p>" for line in self.lines())
        return page_of("Two models", text + "".join(picture(part.plot(), type(part).__name__) for part in parts))
