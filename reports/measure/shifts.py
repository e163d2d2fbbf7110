"""Claim S9 in numbers: how far the encoder's loss landscape moves when the dynamics move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from crar_model.params import DYNAMICS, Params, select
from landscape_tools import apply_symmetry, certify, converge, dense_chain, filter_normalised, flatten, gaussian_direction, norm, unflatten
from reports.measure.paths import mixed
from reports.measure.subject import Subject

SHARES = (0.0, 1e-3, 1e-2, 0.1, 0.5, 1.0)
"""How far the dynamics move towards where they are sent."""
STEPS = 150
"""Of each descent in a moved landscape."""


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


@dataclass(frozen=True)
class Descent:
    """What a descent of the encoder finds under moved dynamics.

    Attributes:
        way: what was done to the dynamics.
        verdict: of the stationary point, from its certificate.
        loss: total there, the dynamics' own; `level` it above the floor, over the reference's.
        match: how the embedding there relates to the base's.
    """

    way: str
    verdict: str
    loss: float
    level: float
    match: str


def descents(subject: Subject, adapted: Params, seed: int = 0) -> list[Descent]:
    """Descents of the failed embedding under the model's own dynamics, under the adapted ones, and under ones a random walk of the same length away."""
    own, goal = subject.dynamics, select(adapted, DYNAMICS)
    random = _random_walk(own, {name: goal[name] - value for name, value in own.items()}, seed)
    ways = {"own": own, "towards the adapted dynamics": goal, "in a random direction": {n: v + random[n] for n, v in own.items()}}
    with torch.no_grad():
        reference = float(subject.terms(subject.optimum)["total"]) - subject.floor["total"]

    def descend(item: tuple[str, Params]) -> Descent:
        way, dynamics = item
        start = {"embedding": subject.embedding(subject.failed)}
        composite = subject.composite(start, dynamics)
        found = converge(composite, start, iterations=STEPS)
        match = subject.match(found.point["embedding"]).verdict
        level = (found.loss - subject.floor["total"]) / reference
        return Descent(way, certify(composite, found.point).verdict, found.loss, level, match)

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(descend, ways.items()))


def _random_walk(own: Params, like: Params, seed: int) -> Params:
    """A random direction of the dynamics as long as another."""
    noise = gaussian_direction(own, torch.Generator().manual_seed(seed + 1))
    return {name: value * (norm(like) / norm(noise)) for name, value in noise.items()}


def encoder_points(subject: Subject, seed: int = 0, radius: float = 0.5) -> Params:
    """(17, ...) encoders: 9 on the way from the failed one to the nearest copy of the optimum, 8 around the failed one
    at filter-normalised random directions scaled by `radius`."""
    start, goal = select(subject.failed, ("encoder",)), subject.nearest
    steps = torch.linspace(0, 1, 9, dtype=torch.float64)
    rows = [(1 - t) * flatten(start) + t * flatten(goal) for t in steps]
    generator = torch.Generator().manual_seed(seed)
    rows += [
        flatten(start) + radius * flatten(filter_normalised(gaussian_direction(start, generator), start)) for _ in range(8)
    ]  # fmt: skip
    return unflatten(torch.stack(rows), start)


def landscape_shifts(subject: Subject, adapted: Params, seed: int = 0) -> list[Shift]:
    """Values and gradients at the encoder points, for dynamics moved in several ways, against the failed model's own.

    Args:
        adapted: parameters whose dynamics the first walk goes to; a random walk of the same length is the second.
        seed: of the encoder points and the random walk.
    """
    points = encoder_points(subject, seed)
    own = subject.dynamics
    before = _landscape(subject, points, own)
    goal = select(adapted, DYNAMICS)
    towards = {name: goal[name] - value for name, value in own.items()}
    random = _random_walk(own, towards, seed)
    shifts = []
    for way, direction in (("towards the adapted dynamics", towards), ("in a random direction", random)):
        for share in SHARES:
            moved = {name: value + share * direction[name] for name, value in own.items()}
            shifts.append(_shift(f"{share:g} of the way {way}", own, moved, before, _landscape(subject, points, moved)))
    exchanged = own
    for block in DYNAMICS:
        for layer in dense_chain(block, len(select(own, (block,))) // 2):
            units = len(own[layer.bias])
            exchanged = apply_symmetry(exchanged, layer, torch.arange(units - 1, -1, -1), -torch.ones(units))
    shifts.append(_shift("hidden units exchanged and negated", own, exchanged, before, _landscape(subject, points, exchanged)))
    mirrored = mixed(subject.failed, -torch.eye(subject.agent.abstract_size, dtype=torch.float64))
    here = _landscape(subject, points, select(mirrored, DYNAMICS))
    shifts.append(_shift("mirrored, T'(x) = -T(-x)", own, select(mirrored, DYNAMICS), before, here))
    reflected = {name: -v if name.startswith(f"encoder.{len(points) // 2 - 1}.") else v for name, v in points.items()}
    there = _landscape(subject, reflected, select(mirrored, DYNAMICS))
    sign = torch.cat(
        [torch.full((v[0].numel(),), -1.0 if name.startswith(f"encoder.{len(points) // 2 - 1}.") else 1.0) for name, v in points.items()]
    )
    shifts.append(_shift("mirrored, seen from the mirrored encoders", own, select(mirrored, DYNAMICS), before, (there[0], there[1] * sign)))
    return shifts


def _landscape(subject: Subject, points: Params, dynamics: Params) -> tuple[Tensor, Tensor]:
    """Total losses (17,) and their gradients (17, n) in the encoders."""
    at = {name: value.detach().requires_grad_() for name, value in points.items()}
    values = subject.heights(dynamics)(at)
    gradients = torch.autograd.grad(values.sum(), list(at.values()))
    return values.detach(), torch.cat([g.flatten(1) for g in gradients], dim=1)


def _shift(way: str, own: Params, moved: Params, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Shift:
    values = float((after[0] - before[0]).square().mean().sqrt())
    gradients = float((after[1] - before[1]).square().sum().sqrt() / before[1].square().sum().sqrt())
    return Shift(way, norm({name: moved[name] - value for name, value in own.items()}), values, gradients)
