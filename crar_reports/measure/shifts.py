"""Claim S9 in numbers: how far the encoder's loss landscape moves when the dynamics move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.core.params import DYNAMICS, Params, select
from crar_model.core.ratio import ratio
from crar_reports.measure.paths import mixed
from crar_reports.measure.sample_minimum import SampleTotal, size_of
from crar_reports.measure.subject import Subject, hidden_layers
from landscape_tools import apply_symmetry, filter_normalised, flatten, gaussian_direction, norm, rows_of, unflatten

SHARES = (0.0, 1e-3, 1e-2, 0.1, 0.5, 1.0)
"""How far the dynamics move towards where they are sent."""
FEW, NUMBER = 256, 3
"""Transitions of the sample that shifts are measured on where a maze's cannot be listed, and which of the further samples it is: two of its
transitions are terminal. Convolutions in float64 are slow, and rounding, which the symmetries are held against, needs them."""


@dataclass(frozen=True)
class Shift:
    """How far the encoder's landscape moved.

    Attributes:
        way: what was done to the dynamics.
        distance: Euclidean length that their parameters moved.
        values: root mean square change of the total loss over the encoder points.
        gradients: root mean square change of its gradient in the encoder's weights, relative to the gradient's own.
    """

    way: str
    distance: float
    values: float
    gradients: float


def random_walk(own: Params, like: Params, seed: int) -> Params:
    """A random direction of the dynamics as long as another."""
    noise = gaussian_direction(own, torch.Generator().manual_seed(seed + 1))
    return {name: value * ratio(norm(like), norm(noise)) for name, value in noise.items()}


ON_THE_WAY, AROUND = 9, 8
POINTS = ON_THE_WAY + AROUND
"""Encoders at which landscapes are compared."""


def encoder_points(subject: Subject, seed: int = 0, radius: float = 0.5) -> Params:
    """(`POINTS`, ...) encoders: `ON_THE_WAY` on the way from the failed one to the nearest copy of the optimum, `AROUND` around the failed one
    at filter-normalised random directions scaled by `radius`."""
    start, goal = select(subject.failed, ("encoder",)), subject.nearest
    steps = torch.linspace(0, 1, ON_THE_WAY, dtype=torch.float64)
    rows = [(1 - t) * flatten(start) + t * flatten(goal) for t in steps]
    generator = torch.Generator().manual_seed(seed)
    rows += [
        flatten(start) + radius * flatten(filter_normalised(gaussian_direction(start, generator), start)) for _ in range(AROUND)
    ]  # fmt: skip
    return unflatten(torch.stack(rows), start)


def shifted_subject(subject: Subject) -> Subject:
    """What shifts are measured on, in float64: the subject itself where its transitions are all there are, else a small sample of its own."""
    if subject.task.sampling.complete:
        return subject
    most = subject.task.most_sample()
    size = FEW if most is None else min(FEW, most)
    batch = subject.task.sample(inverse=subject.inverse, dtype=torch.float64, size=size, number=NUMBER)
    return subject.in_type(torch.float64).on(batch)


@dataclass(frozen=True)
class Shifts:
    """How far the encoder's landscape moved, for every way that the dynamics were moved.

    Attributes:
        rows: one a way.
        sample: size of what they were measured on: transitions, terminal ones, maps or episodes; None where the transitions are all there are.
    """

    rows: list[Shift]
    sample: dict[str, int] | None = None


def landscape_shifts(subject: Subject, adapted: Params, seed: int = 0) -> Shifts:
    """Values and gradients at the encoder points, for dynamics moved in several ways, against the failed model's own.

    Args:
        subject: a pair; of a maze whose transitions cannot be listed, a small sample stands for them (:func:`shifted_subject`).
        adapted: parameters whose dynamics the first walk goes to; a random walk of the same length is the second.
        seed: of the encoder points and the random walk.
    """
    subject = shifted_subject(subject)
    points = encoder_points(subject, seed)
    own = subject.dynamics
    before = _landscape(subject, points, own)
    goal = select(adapted, DYNAMICS)
    towards = {name: goal[name].to(value) - value for name, value in own.items()}
    random = random_walk(own, towards, seed)
    shifts = []
    for way, direction in (("towards the adapted dynamics", towards), ("in a random direction", random)):
        for share in SHARES:
            moved = {name: value + share * direction[name] for name, value in own.items()}
            shifts.append(_shift(f"{share:g} of the way {way}", own, moved, before, _landscape(subject, points, moved)))
    exchanged, negated = own, True
    for block in DYNAMICS:
        for layer in hidden_layers(subject.agent, block):
            units = len(own[layer.weight])
            signs = (-1.0 if layer.signs else 1.0) * torch.ones(units)
            exchanged, negated = apply_symmetry(exchanged, layer, torch.arange(units - 1, -1, -1), signs), negated and bool(layer.signs)
    way = "hidden units exchanged and negated" if negated else "hidden units exchanged, and negated where no max-pooling follows"
    shifts.append(_shift(way, own, exchanged, before, _landscape(subject, points, exchanged)))
    mirrored = select(mixed(subject.agent, subject.failed, -torch.eye(subject.agent.channels, dtype=torch.float64)), DYNAMICS)
    shifts.append(_shift("mirrored, T'(x) = -T(-x)", own, mirrored, before, _landscape(subject, points, mirrored)))
    last = f"encoder.{len(subject.agent.unit_signs('encoder')) - 1}."
    reflected = {name: -v if name.startswith(last) else v for name, v in points.items()}
    there = _landscape(subject, reflected, mirrored)
    sign = torch.cat([torch.full((v[0].numel(),), -1.0 if name.startswith(last) else 1.0) for name, v in points.items()])
    shifts.append(_shift("mirrored, seen from the mirrored encoders", own, mirrored, before, (there[0], there[1] * sign)))
    return Shifts(shifts, None if subject.task.sampling.complete else size_of(subject))


def _landscape(subject: Subject, points: Params, dynamics: Params) -> tuple[Tensor, Tensor]:
    """Total losses (17,) and their gradients (17, n) in the encoders: all at once where the states can be listed, else one by one, for
    the graph of a single one fills the cache."""
    if not subject.task.sampling.complete:
        loss = SampleTotal(subject, dynamics, {name: value[0] for name, value in points.items()})
        rows = rows_of(points)
        with ThreadPoolExecutor(max_workers=2) as pool:
            found = list(pool.map(lambda row: loss.slope(row.numpy()), rows))
        return torch.tensor([v for v, _ in found], dtype=torch.float64), torch.stack([torch.from_numpy(g) for _, g in found])
    at = {name: value.detach().requires_grad_() for name, value in points.items()}
    values = subject.heights(dynamics)(at)
    gradients = torch.autograd.grad(values.sum(), list(at.values()))
    return values.detach(), rows_of(dict(zip(at, gradients, strict=True)))


def _shift(way: str, own: Params, moved: Params, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Shift:
    values = float((after[0] - before[0]).square().mean().sqrt())
    change, whole = (float(slopes.square().sum().sqrt()) for slopes in (after[1] - before[1], before[1]))
    gradients = ratio(change, whole) if change else 0.0  # where all is flat and stays so, nothing has changed
    return Shift(way, norm({name: moved[name] - value for name, value in own.items()}), values, gradients)
