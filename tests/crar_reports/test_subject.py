"""The forms of the loss that landscapes take are the one loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import xarray as xr

from crar_model.core.errors import UserError
from crar_model.core.params import DYNAMICS, select
from crar_model.models.checkpoints import in_maze, load_checkpoint, save_checkpoint
from crar_model.samples import BASE, FAILED
from crar_reports.measure.subject import Subject, load_subject, refuse_senseless
from crar_reports.measure.surface import SPAN, encoder_dynamics, surface_axis
from crar_reports.pages.landscape.page import write_landscape
from landscape_tools import flatten


@pytest.mark.parametrize("end", ["failed", "optimum"])
def test_composites_equal_the_total(end: str) -> None:
    subject = load_subject(FAILED, BASE)
    params = subject.failed if end == "failed" else subject.optimum
    wide = {name: 1.3 * value if name.startswith("encoder.4") else value for name, value in params.items()}  # leaves the ball
    wanted = subject.terms(wide)
    assert float(wanted["ball"]) > 1e-3
    encoder, dynamics = select(wide, ("encoder",)), select(wide, DYNAMICS)
    embedding = {"embedding": subject.embedding(wide)}
    for free, fixed in ((encoder, dynamics), (embedding, dynamics), (wide, {})):
        composite = subject.composite(free, fixed)
        assert float(composite.loss(free)) == pytest.approx(float(wanted["total"]), rel=1e-12)
        assert composite.pieces is not None
        z = composite.output(flatten(free), free)
        apart = replace(composite, together=None)
        assert float(composite.smoothed(z, 1e-2)) == float(apart.smoothed(z, 1e-2))
        assert float(composite.smoothed(z, 1e-9)) == pytest.approx(float(wanted["total"]), rel=1e-6)


def test_dynamics_with_an_axis_of_their_own_meet_every_embedding() -> None:
    subject = load_subject(FAILED, BASE)
    embeddings = torch.stack([subject.embedding(subject.failed), subject.embedding(subject.optimum)])
    scales = (1.0, 0.9, 1.1)
    stacked = {name: torch.stack([k * value for k in scales]).unsqueeze(1) for name, value in subject.dynamics.items()}
    table = subject.terms(stacked, embeddings)
    assert table["total"].shape == (3, 2)
    for i, k in enumerate(scales):
        for j in range(2):
            alone = subject.terms({name: k * value for name, value in subject.dynamics.items()}, embeddings[j])
            for term in ("transition", "reward", "value", "total"):
                assert float(table[term][i, j]) == pytest.approx(float(alone[term]), rel=1e-10)


def test_heights_of_many_points_are_the_total() -> None:
    subject = load_subject(FAILED, BASE)
    whole = {name: torch.stack([value, 0.9 * value]) for name, value in subject.failed.items()}
    wanted = [float(subject.terms({name: value[k] for name, value in whole.items()})["total"]) for k in range(2)]
    assert subject.heights({})(whole).tolist() == pytest.approx(wanted, rel=1e-12)
    encoders = select(whole, ("encoder",))
    own = [float(subject.terms(subject.dynamics | {n: v[k] for n, v in encoders.items()})["total"]) for k in range(2)]
    assert subject.heights(subject.dynamics)(encoders).tolist() == pytest.approx(own, rel=1e-12)
    embeddings = {"embedding": torch.stack([subject.embedding({n: v[k] for n, v in encoders.items()}) for k in range(2)])}
    assert subject.heights(subject.dynamics)(embeddings).tolist() == pytest.approx(own, rel=1e-12)
    smooth = subject.heights(subject.dynamics, 1e-3)(embeddings)  # above the exact one by at most smoothing * log(3)
    assert all(-1e-7 <= float(a) - b < 1.2e-3 for a, b in zip(smooth, own, strict=True))  # float32 rounds


def test_a_surface_needs_a_second_axis() -> None:
    subject = load_subject(FAILED, BASE)
    with pytest.raises(UserError, match="--blocks transition"):
        encoder_dynamics(subject, subject.failed, ("transition",), resolution=3, space="embedding", align=True)


def test_an_interrupted_surface_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = load_subject(FAILED, BASE)
    adapted = {name: 1.1 * value for name, value in subject.failed.items()}
    monkeypatch.setattr("landscape_tools.stores.SAVE_EVERY", 0.0)
    monkeypatch.setattr("landscape_tools.planes.CHUNK_LIMIT", 2)

    def draw(store: Path | None, stop: int) -> xr.Dataset:
        def tick(done: int, _: int) -> None:
            if done >= stop:
                raise KeyboardInterrupt

        return encoder_dynamics(subject, adapted, DYNAMICS, resolution=5, space="embedding", align=True, store=store, progress=tick)

    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "part.npz", 9)
    assert (tmp_path / "part.npz").exists()
    resumed, whole = draw(tmp_path / "part.npz", 1000), draw(None, 1000)
    assert resumed.identical(whole)
    assert not (tmp_path / "part.npz").exists()


def test_forms_of_the_loss_hold_for_channels_at_many_positions(random_freeze: Path, random_base: Path) -> None:
    """`ball` of the random mazes is a mean over 64 positions of a maximum over 3 channels, in every form of the loss."""
    subject = load_subject(random_freeze / "member-0.pt", random_base / "member-0.pt")
    wide = {name: 4 * value if name.startswith("encoder.3") else value for name, value in subject.failed.items()}  # leaves the ball
    wanted = subject.terms(wide)
    assert float(wanted["ball"]) > 1e-3
    encoder, dynamics = select(wide, ("encoder",)), select(wide, DYNAMICS)
    embedding = {"embedding": subject.embedding(wide)}
    for free in (encoder, embedding):
        assert float(subject.composite(free, dynamics).loss(free)) == pytest.approx(float(wanted["total"]), rel=1e-5)
    points = {"embedding": torch.stack([subject.embedding(wide), subject.embedding(subject.failed)])}
    own = [float(subject.terms(dynamics, embedding)["total"]) for embedding in points["embedding"]]
    assert subject.heights(dynamics)(points).tolist() == pytest.approx(own, rel=1e-5)
    smooth = subject.heights(dynamics, 1e-3)(points)
    assert all(-1e-5 <= float(a) - b < 1.5e-3 for a, b in zip(smooth, own, strict=True))  # above by at most smoothing * log(4)
    pieces = subject.composite(embedding, dynamics).pieces
    assert pieces is not None
    found = pieces(embedding["embedding"].flatten())
    assert found.shape == (512 * 64, 4)
    assert float(found.amax(-1).mean()) == pytest.approx(float(wanted["ball"]), rel=1e-5)


def test_pairs_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    refuse_senseless(load_subject(FAILED, BASE))  # the shipped pair makes sense
    failed, base = load_checkpoint(FAILED), load_checkpoint(BASE)
    # A transfer that matched: the base's closed-form copy, its weights a little off.
    copy = {name: value + 1e-4 * torch.ones_like(value) for name, value in in_maze(base, inverse=True).items()}
    weak = replace(base, parameters={name: 3 * value for name, value in base.parameters.items()})
    cases = {
        "not a failed transfer": (replace(failed, parameters=copy), base),
        "a base model": (base, failed),
        "no better than the transfer": (failed, weak),
        "as good as its base in its maze.* nothing failed here": (replace(failed, info={**failed.info, "base_digest": weak.digest}), weak),
    }
    for message, (one, other) in cases.items():
        save_checkpoint(tmp_path / "from.pt", one)
        save_checkpoint(tmp_path / "to.pt", other)
        with pytest.raises(UserError, match=message):
            write_landscape(tmp_path / "from.pt", tmp_path / "to.pt", tmp_path / "report")
        assert not (tmp_path / "report").exists()


def test_a_transfer_that_looks_right_and_does_less_is_dissected() -> None:
    """Success is what a model can do: one whose embedding is still its base's may mispredict half of the moves."""
    pair = load_subject(FAILED, BASE)
    copy = in_maze(pair.optimum_file, inverse=True)
    generator = torch.Generator().manual_seed(0)

    def off(by: float) -> Subject:
        moved = {
            name: value + by * torch.randn(value.shape, generator=generator) * name.startswith("encoder.") for name, value in copy.items()
        }
        params = {name: value.double() for name, value in moved.items()}
        return replace(pair, failed_file=replace(pair.failed_file, parameters=moved), failed=params)

    with pytest.raises(UserError, match=r"not a failed transfer.* and does as well"):
        refuse_senseless(off(1e-4))
    weak = off(0.04)
    assert weak.match(weak.embedding(weak.failed)).verdict == "matched"
    refuse_senseless(weak)


def test_a_surface_has_every_coordinate_once() -> None:
    """Steps of 1/4 and the like fall on 0 or 1 but for rounding."""
    for resolution in range(2, 300):
        axis = surface_axis(resolution)
        assert (axis[0], axis[-1]) == SPAN
        assert float(axis.diff().min()) > 1e-6, resolution
        if resolution > 2:
            assert len(axis) in (resolution, resolution + 2)
            assert {0.0, 1.0} <= set(axis.tolist())
