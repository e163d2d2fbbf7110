"""`crar predict`: what is seen of a base, and scoring that can come out either way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from typer.testing import CliRunner

from cli import app
from crar_model import samples
from crar_model.core.errors import UserError
from crar_model.core.files import as_read
from crar_model.cures.foresight import foresee
from crar_model.mazes.maps import ObservationMap
from crar_model.models.checkpoints import load_checkpoint
from crar_model.models.evaluation import evaluate
from crar_reports.measure import forecast
from crar_reports.measure.forecast import PREDICTORS, Table, calibration, chances, held_out, score_predictors
from crar_reports.pages import predict as page
from crar_reports.pages.predict_view import BaseSeen, Outcome, Prediction, chance_lines, per_cent, verdict

NOTHING = Prediction("crar predict", "simple", "negative", [])


def made(bases: int, effect: float, seed: int, trials: int = 4) -> Table:
    """Bases whose first feature moves the odds of success by `effect` a standard deviation; the second is noise."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((bases, 2))
    chance = 1 / (1 + np.exp(-effect * features[:, 0]))
    return Table(("telling", "noise"), features, rng.binomial(trials, chance), np.full(bases, trials))


def test_a_predictor_is_found_where_there_is_one() -> None:
    found = score_predictors(made(48, 3.0, 0))
    rows = {row.name: row for row in found.rows}
    logistic = rows["logistic"]
    assert "logistic" in found.predicts
    assert logistic.brier.value < 0.8 * rows["constant"].brier.value
    assert logistic.area is not None
    assert logistic.area.low > 0.75
    assert abs(logistic.bias.value) < 0.1
    assert logistic.gain is not None
    assert logistic.gain.confidence == pytest.approx(0.975)


def test_nothing_predicts_where_nothing_does() -> None:
    """Of 20 tables of noise hardly one may be said to predict; every one of them has a best feature in hindsight."""
    assert sum(bool(score_predictors(made(48, 0.0, seed)).predicts) for seed in range(20)) <= 1


def test_a_base_is_predicted_without_its_own_transfers() -> None:
    table = made(12, 2.0, 1)
    for name, predictor in forecast.PREDICTORS.items():
        turned = table.successes.copy()
        turned[3] = table.trials[3] - turned[3]
        other = Table(table.names, table.features, turned, table.trials)
        assert held_out(table, predictor)[3] == held_out(other, predictor)[3], name


def test_the_roc_area_is_that_of_mann_and_whitney() -> None:
    table = made(15, 1.0, 2)
    p = np.round(held_out(table, forecast.logistic), 1)  # with ties
    won, lost = np.repeat(p, table.successes), np.repeat(p, table.trials - table.successes)
    area = forecast._area(table, p, np.ones((1, 15)))[0]
    assert area == pytest.approx(mannwhitneyu(won, lost).statistic / (len(won) * len(lost)))


def test_a_cut_and_groups() -> None:
    x = np.arange(10.0)[:, None]
    table = Table(("x",), x, np.where(x[:, 0] > 6, 4, 0), np.full(10, 4))
    fit = forecast.threshold(table)
    assert fit(np.array([6.4])) < 0.05
    assert fit(np.array([6.6])) > 0.9
    groups = calibration(x[:, 0] / 10, table, 5)
    assert [group.count for group in groups] == [0, 0, 0, 4, 8]
    assert groups[0].predicted == pytest.approx(0.05)
    assert sum(group.of for group in groups) == 40


def test_too_little_is_not_scored() -> None:
    for table, why in (
        (made(5, 1.0, 0), "5 bases"),
        (Table(("x",), np.zeros((9, 1)), np.zeros(9), np.full(9, 2)), "all 18 transfers failed"),
    ):
        with pytest.raises(UserError, match=why):
            score_predictors(table)


def test_what_is_seen_of_the_shipped_base() -> None:
    base = load_checkpoint(samples.BASE)
    found = foresee(base, resolution=31)
    own = evaluate(base.task, base.parameters, inverse=base.inverse, settings=base.settings.loss)
    there = evaluate(base.task, base.parameters, inverse=not base.inverse, settings=base.settings.loss)
    assert len(found.copies) == 8
    assert found.copies[0].transition == pytest.approx(own.terms["transition"], rel=1e-4)
    assert found.start["transition"] == pytest.approx(there.terms["transition"], rel=1e-4)
    assert 0 < found.oddness < 0.1
    biases = [value.abs() for name, value in base.parameters.items() if name.endswith(".bias")]
    assert found.bias == pytest.approx(float(sum(value.sum() for value in biases)) / sum(value.numel() for value in biases))
    assert found.features["log mean bias"] == pytest.approx(np.log(found.bias))
    assert found.landscape is not None
    assert found.landscape.valleys[found.valley_of["base"]].total == found.landscape.total.min()
    assert all(np.isfinite(value) for value in found.features.values())


def test_another_observation_map_is_looked_through(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    """The base is the same, what it sees of the other maze is not."""
    words = ["predict", base_run / "member-0.pt", "--resolution", 9, "--json"]
    plain, mirror = (
        json.loads(CliRunner().invoke(app, [str(word) for word in (*words, *more)]).stdout)
        for more in ((), ("--observation-map", "mirror"))
    )
    assert (plain["observation_map"], mirror["observation_map"]) == ("negative", "mirror")
    (one,), (other,) = plain["bases"], mirror["bases"]
    assert one["copies"] == other["copies"]
    assert one["start"]["total"] != other["start"]["total"]
    base = load_checkpoint(base_run / "member-0.pt")
    seen = base.task.with_map(ObservationMap("mirror"))
    there = evaluate(seen, base.parameters, inverse=not base.inverse, settings=base.settings.loss)
    assert other["start"]["transition"] == pytest.approx(there.terms["transition"], rel=1e-4)
    with pytest.raises(UserError, match="a transfer seen through negative; give its --observation-map"):
        page.predict([base_run / "member-0.pt"], transfers=[freeze_run], resolution=9, observation_map=ObservationMap("mirror"))
    bad = CliRunner().invoke(app, [str(word) for word in (*words, "--observation-map", "mix", "--map-condition", 0.1)])
    assert bad.exit_code != 0


def test_the_random_mazes_have_48_copies_and_no_placement() -> None:
    found = foresee(load_checkpoint(samples.RANDOM_BASE))
    assert (len(found.copies), found.landscape) == (48, None)
    assert found.copies[0].transition == min(copy.transition for copy in found.copies)


def test_the_page_and_what_it_refuses(base_run: Path, freeze_run: Path, tmp_path: Path) -> None:
    words = ["predict", base_run, "--transfer", freeze_run, "--resolution", 9, "--out", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [outcome["transfers"] for outcome in found["outcomes"]] == [2, 0]
    text = (tmp_path / "out" / "report.md").read_text()
    assert f"Nothing was scored: 1 base with transfers, fewer than {forecast.FEWEST}" in text
    assert found == json.loads((tmp_path / "out" / "results.json").read_text())
    with pytest.raises(UserError, match="a transfer; give the base that it came from"):
        page.predict([samples.FAILED])
    with pytest.raises(UserError, match="is not among those asked about"):
        page.predict([base_run / "member-1.pt"], transfers=[freeze_run], resolution=9)
    with pytest.raises(UserError, match="ask of them apart"):
        page.predict([samples.BASE, samples.RANDOM_BASE], resolution=9)


def test_the_sentence_follows_the_scores(tmp_path: Path) -> None:
    for effect, begins in ((3.0, "Predicts: of 192 transfers from 48 bases: logistic"), (0.0, "Nothing predicts: of 192 transfers")):
        assert verdict(replace(NOTHING, scores=score_predictors(made(48, effect, 0)))).startswith(begins)


def test_the_chance_is_that_of_the_best_predictor_and_what_came_of_such_predictions() -> None:
    """From first principles: a base of the table is predicted without it, one beside it by all; the group is the one of the nearest predictions."""
    for effect, by in ((3.0, "logistic"), (0.0, "constant")):
        table = made(48, effect, 0)
        scores = score_predictors(table)
        assert [len(row.calibration) for row in scores.rows] == [1, 5, 5]
        more = np.vstack((table.features, table.features[:1] + 0.5))
        found = chances(table, more, [True] * 48 + [False], scores)
        (row,) = [row for row in scores.rows if row.name == by]
        assert {one.by for one in found} == {by}
        assert tuple(one.probability for one in found[:48]) == row.predicted
        assert found[48].probability == pytest.approx(PREDICTORS[by](table)(more[48]))
        for one in found:
            apart = [abs(group.predicted - one.probability) for group in row.calibration]
            assert one.alike == row.calibration[int(np.argmin(apart))]
        bases = [BaseSeen(f"b{k}", "", 0.0, 0.0, {}, (), None, {}, {}, {}) for k in range(49)]
        lines = chance_lines(
            replace(NOTHING, bases=bases, chances=found, outcomes=[Outcome(int(k), 4) for k in table.successes] + [Outcome(0, 0)])
        )
        first, last = found[0], found[48]
        assert lines[0].startswith(f"A transfer of `b0` succeeds with a probability of {per_cent(first.probability)}, by ")
        assert f"its own: {table.successes[0]} of 4" in lines[0]
        assert "its own" not in lines[48]
        alike = last.alike
        assert f"{alike.count} of {alike.of} transfers succeeded: {per_cent(alike.share)}, 95 % interval by base" in lines[48]
    assert chance_lines(replace(NOTHING, unscored="all 8 transfers failed")) == ["No probability is given: all 8 transfers failed."]
    assert "--transfer" in chance_lines(NOTHING)[0]
    assert [per_cent(p) for p in (0.0, 1e-6, 0.046, 0.5, 0.9999, 1.0)] == ["0 %", "0.1 %", "4.6 %", "50 %", "99.9 %", "100 %"]


@pytest.mark.usefixtures("as_published")
def test_a_stopped_look_goes_on(base_run: Path, freeze_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(*words: Any, where: str, **more: Any) -> Any:
        seen.append(Path(where).name)
        if seen == ["member-0.pt", "member-1.pt"]:
            raise KeyboardInterrupt
        return foresee(*words, where=where, **more)

    monkeypatch.setattr(page, "foresee", look)
    words = {"transfers": [freeze_run], "resolution": 9}
    with pytest.raises(KeyboardInterrupt):
        page.predict([base_run], tmp_path / "out", **words)
    found = page.predict([base_run], tmp_path / "out", **words)
    assert seen == ["member-0.pt", "member-1.pt", "member-1.pt"]
    assert as_read(found) == as_read(page.predict([base_run], **words))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["placement.png", "report.html", "report.md", "results.json"]
