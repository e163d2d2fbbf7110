"""`crar escape`: noise, noiseless descents, and survival with censoring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cli import app
from crar_model.checkpoints import load_checkpoint
from crar_model.cures.problem import pose
from crar_model.errors import UserError
from crar_model.nets import RMSpropSettings, rmsprop_step
from crar_model.params import Params, select
from reports import samples
from reports.escape import Grid, write_escape
from reports.escapes import kinds, relations, verdict
from reports.measure import escape
from reports.measure.escape import OPTIMISERS, Exits, settle


def test_plain_sgd_is_rmsprop_whose_averages_stay_zero() -> None:
    changes = OPTIMISERS["sgd"]
    settings = RMSpropSettings(changes["rms_decay"], changes["rms_epsilon"], changes["clip_norm"])
    param, grad, square = torch.ones(2, 3), torch.tensor([[1.0, -40.0, 3.0], [0.0, 2.0, 1.0]]), torch.zeros(2, 3)
    rmsprop_step([param], [grad], [square], torch.tensor([0.1, 0.5]), torch.ones(2, dtype=torch.bool), settings)
    assert torch.allclose(param, 1 - torch.tensor([[0.1], [0.5]]) * grad)
    assert not square.any()


def test_survival_counts_the_censored() -> None:
    found = Exits(np.array([100.0, np.nan, 200.0, np.nan]), np.array([0.0, 100.0, 100.0, 200.0]), 1, 1).plain()
    assert found["left"] == 2
    assert found["updates"] == [100.0, 200.0]
    assert found["inside"] == pytest.approx([0.75, 0.375])  # one of four, then one of the two still watched
    assert found["median"] == 200.0
    stayed = Exits(np.full(3, np.nan), np.full(3, 50.0), 0, 0).plain()
    assert (stayed["left"], stayed["median"], stayed["inside"]) == (0, None, [])


def test_a_noiseless_descent_never_climbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escape, "DESCENT", 30)
    failed = load_checkpoint(samples.FAILED)
    problem = pose(failed, None, 0)
    own = {name: torch.stack((value, 1.5 * value)) for name, value in select(failed.parameters, ("encoder",)).items()}
    batch = problem.data.judged
    ended, embeddings = settle(problem, own)
    before, after = (problem.terms(problem.encode(x, batch), batch)["total"].detach() for x in (own, ended))
    assert bool((after < before).all())
    assert embeddings.shape[0] == 2


def test_a_noiseless_descent_does_not_stop_at_a_kink() -> None:
    """From the shipped failure's corner of `ball`: descents from around it come closer to each other, and go on when given more steps."""
    failed = load_checkpoint(samples.FAILED)
    problem = pose(failed, None, 0)
    generator = torch.Generator().manual_seed(0)
    own = {}
    for name, value in select(failed.parameters, ("encoder",)).items():
        noise = torch.randn((6, *value.shape), generator=generator) * value.square().mean().sqrt()
        own[name] = value + 0.02 * noise
    batch = problem.data.judged

    def totals(encoders: Params) -> torch.Tensor:
        return problem.terms(problem.encode(encoders, batch), batch)["total"].detach()

    once = settle(problem, own)[0]
    twice = settle(problem, once)[0]
    assert float(totals(once).std()) < 0.25 * float(totals(own).std())
    assert bool((totals(twice) < totals(once) - 1e-5).all())


def test_bad_input_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--rate is -1"):
        write_escape(samples.FAILED, tmp_path, grid=Grid(rates=(-1.0,)))
    with pytest.raises(UserError, match="--checks is 9, more than --updates 5"):
        write_escape(samples.FAILED, tmp_path, grid=Grid(updates=5, checks=9))
    with pytest.raises(UserError, match="give it with --to"):
        write_escape(samples.FAILED, tmp_path)


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


def test_relations_come_out_each_way() -> None:
    def minima(shares: list[int]) -> dict[str, Any]:
        rows = [
            {
                "barrier": 0.1 * k,
                "log_ratio": 1.0,
                "lowest": None,
                "highest": float((k * 3) % 7),
                "left": left,
                "seeds": 100,
                "matched": 0,
                "diverged": 0,
                "base": f"base-{k}",
                "cells": [
                    {"optimiser": "sgd", "rate": 0.1, "batch": 8, "seeds": 50, "left": 0, "matched": 0, "diverged": 0},
                    {
                        "optimiser": "rmsprop",
                        "rate": 0.01,
                        "batch": 8,
                        "seeds": 50,
                        "left": min(left, 50),
                        "matched": left // 3,
                        "diverged": 0,
                    },
                ],
            }
            for k, left in enumerate(shares)
        ]
        return {"rows": rows, "grid": {"updates": 10}, "kinds": kinds(rows), "relations": relations(rows)}

    falling = minima([90, 80, 70, 60, 50, 40, 30])
    barrier = next(each for each in falling["relations"] if each["look"] == "barrier")
    assert barrier["rho"] == pytest.approx(-1)
    assert barrier["p"] < 0.05
    assert "goes with: barrier" in verdict(falling)
    assert "lowest curvature" not in verdict(falling)
    most = "1 of 2 kinds of noise carried any out; rmsprop at a rate of 0.01 and batches of 8 carried most, 320 of 350, 138 for the base's embedding."
    assert most in verdict(falling)
    assert falling["kinds"][0] == {
        "optimiser": "sgd",
        "rate": 0.1,
        "batch": 8,
        "seeds": 350,
        "left": 0,
        "matched": 0,
        "diverged": 0,
        "minima": 0,
    }
    assert falling["kinds"][1]["minima"] == 7
    mixed = minima([50, 90, 40, 80, 60, 45, 70])
    assert "Nothing that a minimum looks like" in verdict(mixed)
    kept = minima([0] * 7)
    assert "7 of the minima kept all" in verdict(kept)
    assert "cannot be told" in verdict(kept)
    assert "carried" not in verdict(kept)
    assert "cannot be told" in verdict(minima([1, 2, 3, 4, 5]))
    assert "cannot be told" not in verdict(minima([1, 2, 3, 4, 5, 6]))
    one_base = minima([90, 80, 70, 60, 50, 40, 30])
    for row in one_base["rows"]:
        row["base"] = "base-0"
    assert all(each["rho"] is None for each in relations(one_base["rows"]))
    for row in falling["rows"]:  # all but those that left diverged
        row["diverged"] = 100 - row["left"]
    assert all(each["rho"] is None for each in relations(falling["rows"]))
    assert "0 of the minima kept all" in verdict(falling | {"relations": relations(falling["rows"])})
