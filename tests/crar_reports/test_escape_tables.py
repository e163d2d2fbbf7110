"""Tables of escapes: several minima, what counts for nothing, and how sure a page is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.agent.symmetry import negate_first_layer
from crar_model.core.errors import UserError
from crar_model.models.checkpoints import load_checkpoint, save_checkpoint
from crar_reports.measure.exits import Counted, Exits
from crar_reports.measure.minimum import Curvatures
from crar_reports.pages.escape import many as escapes
from crar_reports.pages.escape import measure as escape
from crar_reports.pages.escape.many import attainable, kinds, relations, row_of, verdict, write_page
from crar_reports.pages.escape.one import write_escape
from crar_reports.pages.escape.one import write_page as one_page
from crar_reports.pages.escape.records import UNKNOWN, Escape, Escapes, Grid, Kind, Row
from crar_reports.statistics import share
from tests.crar_reports.test_escape import NOISE
from tests.crar_reports.test_escape_rules import a_minimum


@pytest.mark.usefixtures("as_published")
def test_several_minima_make_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command from end to end on a folder with the shipped failure; what is finished is kept."""
    monkeypatch.setattr(escape, "DESCENT", 20)
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    shutil.copy(samples.FAILED, run / "member-0.pt")
    words = ["escape", "--from", run, "--to", samples.BASE, "--rate", 1e-3, "--sgd-rate", 1e-3]
    words += ["--batch-size", 8, "--seeds", 2, "--updates", 20, "--checks", 2, "--out", out, "--json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (first,) = found["rows"]
    assert (first["name"], first["seeds"], len(first["cells"])) == ("run-member-0", 4, 2)
    assert first["left"] == sum(cell["left"] for cell in json.loads((out / first["name"] / "results.json").read_text())["cells"])
    assert (out / first["name"] / "survival.png").exists()
    text = (out / "report.md").read_text()
    assert "cannot be told from these" in text
    assert f"{first['left']} of 4" in text
    assert [(kind["optimiser"], kind["rate"], kind["batch"], kind["seeds"]) for kind in found["kinds"]] == [
        ("sgd", 1e-3, 8, 2),
        ("rmsprop", 1e-3, 8, 2),
    ]
    stamp = (out / first["name"] / "results.json").stat().st_mtime_ns
    again = CliRunner().invoke(app, [str(word) for word in (*words, "--resume")])
    assert json.loads(again.stdout)["rows"] == found["rows"]
    assert (out / first["name"] / "results.json").stat().st_mtime_ns == stamp
    for name in ("results.json", "state.json"):
        (out / first["name"] / name).write_text('{"half": 1}')
        damaged = CliRunner().invoke(app, [str(word) for word in (*words, "--resume")])
        assert isinstance(damaged.exception, UserError)
        assert f"{name}: damaged" in str(damaged.exception)
        (out / first["name"] / name).unlink()
    again = CliRunner().invoke(app, [str(word) for word in (*words, "--resume")])
    assert json.loads(again.stdout)["rows"] == found["rows"]  # what was removed is made again
    with FileLock(out / first["name"] / ".lock"), pytest.raises(UserError, match="another crar escape works there"):
        write_escape(run / "member-0.pt", out / first["name"], base_path=samples.BASE, grid=Grid((1e-3,), (1e-3,), (8,), 2, 20, 2))


def test_a_page_says_how_sure_it_is_that_nobody_leaves(tmp_path: Path) -> None:
    def results(left: int) -> Escape:
        at = np.array([2.0] * left + [np.nan] * (10 - left))
        cell = Exits(at, np.full(10, 4.0), 0, 0).watched(NOISE)
        return a_minimum([cell], curvatures=Curvatures(0, 0, 2, 0, 0.0234, 9.0, 0.1, 2, 2, 0.0))

    task = load_checkpoint(samples.FAILED).task
    one_page(results(0), tmp_path, task)
    text = (tmp_path / "report.md").read_text()
    assert "| 100 % (69 % to 100 %) |" in text  # 0.025 ** (1 / 10)
    assert "of the one cell where nobody diverged, by itself, at most 30.8 % of such members would leave" in text
    assert "0.0234" in text
    assert "3e-08" not in text
    diverged = dataclasses.replace(results(0), cells=[dataclasses.replace(results(0).cells[0], diverged=9)])
    one_page(diverged, tmp_path, task)
    assert "in every cell some diverged" in (tmp_path / "report.md").read_text()
    mixed = dataclasses.replace(results(4), cells=[*results(4).cells, *diverged.cells])
    one_page(mixed, tmp_path, task)
    assert "0 of 2 cells kept all" in (tmp_path / "report.md").read_text()  # who diverged was not kept
    one_page(results(4), tmp_path, task)
    text = (tmp_path / "report.md").read_text()
    assert "4 of 10 members left" in text
    assert "would leave" not in text


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0, 0, 0, 1, 2, 3, 4], [0, 0, 0, 1, 2, 3, 4]),
        ([0, 0, 1, 2, 3, 4], [0, 0, 1, 2, 3, 4]),
        ([0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 2]),
        ([0, 1, 1, 2, 2, 2], [0, 0, 0, 0, 1, 2]),
        ([0, 1, 2, 3, 4], [4, 2, 3, 1, 0]),
        ([0, 0, 0, 0], [1, 2, 3, 4]),
    ],
)
def test_the_smallest_p_that_ties_allow_is_that_of_all_permutations(x: list[float], y: list[float]) -> None:
    """Against the full enumeration: the rarer of the two extremes of the correlation, on both sides."""
    found = [float(np.dot(x, order)) for order in permutations(y)]
    rarest = min(np.isclose(found, max(found)).sum(), np.isclose(found, min(found)).sum())
    assert attainable(list(zip(x, y, strict=True))) == pytest.approx(min(1.0, 2 * rarest / len(found)))


def test_no_p_is_below_what_is_drawn() -> None:
    assert attainable([(float(k), float(k)) for k in range(12)]) == pytest.approx(2 / 10_000)
    assert attainable([]) == 1.0


def test_transfers_that_came_back_are_left_out_before_anything_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, base = tmp_path / "run", load_checkpoint(samples.BASE)
    run.mkdir()
    shutil.copy(samples.FAILED, run / "member-0.pt")
    back = dataclasses.replace(base, inverse=True, parameters=negate_first_layer(base.parameters), info=base.info | {"variant": "freeze"})
    save_checkpoint(run / "member-1.pt", back)
    asked: list[str] = []

    def stop(path: Path, *_: object, **__: object) -> Any:
        asked.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(escapes, "write_escape", stop)
    with pytest.raises(KeyboardInterrupt):
        escapes.write_escapes([run / "member-1.pt", run / "member-0.pt"], tmp_path / "out", base_path=samples.BASE)
    assert asked == ["member-0.pt"]
    with pytest.raises(UserError, match="none of these transfers failed"):
        escapes.write_escapes([run / "member-1.pt"], tmp_path / "out", base_path=samples.BASE)


def test_what_is_no_minimum_counts_for_nothing(tmp_path: Path) -> None:
    cells = [Counted("sgd", 0.1, 8, seeds=4, left=4, matched=1, diverged=0)]
    row = Row(
        seeds=4, left=4, matched=1, diverged=0, name="a", path="", base="", base_digest="b", verdict="saddle", loss=1.0, barrier=0.1, log_ratio=1.0,
        lowest=None, highest=None, cells=cells,
    )  # fmt: skip
    results = write_page(Escapes("crar escape", Grid((), (0.1,), (8,), 4, 10), 0, [row]), tmp_path)
    assert (results.certified, results.kinds) == (0, [])
    assert verdict(results) == "Not one certified minimum, so nothing to leave. 1 other is no certified minimum and left out."
    other = dataclasses.replace(row, name="c", verdict="minimum", left=1, cells=[dataclasses.replace(cells[0], left=1)])
    write_page(dataclasses.replace(results, rows=[row, other]), tmp_path)
    assert "1 of 4 members left 1 minimum within" in (tmp_path / "report.md").read_text()


def test_the_curvature_of_a_row_is_the_certificates() -> None:
    """Of the encoder's weights most directions change no embedding: the lowest curvature there is round-off."""
    row = row_of(a_minimum(curvatures=Curvatures(0, 0, 2, 0, 0.02, 9.0, 0.1, 2, 2, 0.0)), "f")
    assert (row.lowest, row.highest) == (0.02, 9.0)
    assert row_of(a_minimum(), "f").lowest is None


def test_relations_come_out_each_way() -> None:
    def minima(shares: list[int], *, bases: int = 7) -> Escapes:
        rows = [
            Row(
                seeds=100, left=left, matched=left // 3, diverged=0, name="", path="", base="", base_digest=f"base-{k % bases}", verdict="minimum", loss=1.0,
                barrier=0.1 * k, log_ratio=1.0, lowest=None, highest=float((k * 3) % 7), cells=[
                    Counted("sgd", 0.1, 8, seeds=50, left=0, matched=0, diverged=0),
                    Counted("rmsprop", 0.01, 8, seeds=50, left=min(left, 50), matched=left // 3, diverged=0),
                ],
            )
            for k, left in enumerate(shares)
        ]  # fmt: skip
        return Escapes("", Grid(updates=10), 0, rows, len(rows), kinds(rows), relations(rows))

    falling = minima([90, 80, 70, 60, 50, 40, 30])
    barrier = next(each for each in falling.relations if each.look == "barrier")
    assert barrier.rho == pytest.approx(-1)
    assert barrier.p is not None
    assert barrier.p < 0.05
    assert (
        "What goes together: barrier to the base's embedding (an upper bound) (bases: an unknown recipe) with the share that left, rank correlation -1.00"
        in verdict(falling)
    )
    assert "with the share that left for the base's embedding, rank correlation -1.00" in verdict(falling)
    assert "lowest curvature" not in verdict(falling)
    most = "1 of 2 kinds of noise carried any out; rmsprop, joint steps, at a rate of 0.01 and batches of 8 (bases: an unknown recipe), carried most, 320 of 350, 138 for the base's embedding."
    assert most in verdict(falling)
    assert falling.kinds[0] == Kind(
        "sgd", 0.1, 8, seeds=350, left=0, matched=0, diverged=0, recipe=UNKNOWN, minima=0, arrived=0, of=7, share=share([False] * 350)
    )
    assert falling.kinds[1].minima == 7
    mixed = minima([50, 90, 40, 80, 60, 45, 70])
    assert "Nothing that a minimum looks like" in verdict(mixed)
    kept = minima([0] * 7)
    assert "7 of the minima kept all" in verdict(kept)
    assert "cannot be told" in verdict(kept)
    assert "kinds of noise carried any out" not in verdict(kept)
    bound = f"Of each of the 2 kinds that carried nobody out and where nobody diverged, by itself, at most {100 * share([False] * 350).high:.1f} %"
    assert bound in verdict(kept)
    lost = kinds([dataclasses.replace(row, cells=[dataclasses.replace(row.cells[0], diverged=1), *row.cells[1:]]) for row in kept.rows])
    assert lost[0].share is None
    assert "Of each of the 1 kinds" in verdict(dataclasses.replace(kept, kinds=lost))
    tied = minima([0, 0, 0, 0, 100, 100, 100])  # 7 bases, but only 35 orders that differ
    assert all(each.p is None for each in tied.relations)
    assert next(each for each in tied.relations if each.look == "barrier").attainable == pytest.approx(2 * 24 * 6 / 5040)
    assert "cannot be told" in verdict(tied)
    assert "cannot be told" in verdict(minima([1, 2, 3, 4, 5]))
    assert "cannot be told" not in verdict(minima([1, 2, 3, 4, 5, 6]))
    assert all(each.rho is None for each in minima([90, 80, 70, 60, 50, 40, 30], bases=1).relations)
    rows = [dataclasses.replace(row, diverged=100 - row.left) for row in falling.rows]  # all but those that left diverged
    assert all(each.rho is None for each in relations(rows) if each.outcome == "left")
    assert "0 of the minima kept all" in verdict(dataclasses.replace(falling, rows=rows, relations=relations(rows)))
