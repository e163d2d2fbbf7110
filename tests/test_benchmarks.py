"""What benchmarks make of what they measured; nothing is timed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import page, random_stages, tiles
from benchmarks.against import HERE
from benchmarks.simple_training import BEFORE, ROWS, Row, figure, results_of, table, update_gflop

REPETITIONS = [
    {"matmul": [100.0], "plain": [10.0, 5.0], BEFORE: [20.0, 10.0], HERE: [200.0, 30.0]},
    {"matmul": [50.0], "plain": [5.0, 2.0], BEFORE: [10.0, 5.0], HERE: [90.0, 20.0]},
    {"matmul": [80.0], "plain": [8.0, 4.0], BEFORE: [40.0, 10.0], HERE: [480.0, 30.0]},
]
MEASURED = (Row("joint", 6), Row("sequential", 1, "freeze"))


def test_rates_are_divided_within_a_repetition() -> None:
    rows = results_of(REPETITIONS, MEASURED)["rows"]
    assert rows["joint 6"]["times_before"] == {"median": 10.0, "low": 9.0, "high": 12.0}
    assert rows["joint 6"]["times_plain"] == {"median": 20.0, "low": 18.0, "high": 60.0}
    assert rows["sequential 1 freeze"]["times_plain"]["high"] == 10.0
    share = update_gflop(MEASURED[0])
    assert rows["joint 6"]["of_matmul"]["low"] == pytest.approx(90 / 50 * share)


def test_operations_that_are_not_needed_are_not_counted() -> None:
    """By hand: 2 x (12,800 + 31 x 200) + 3 x 31 x 25,520 in the encoder, 3 x 32 x 6,860 in the rest, 2 each."""
    assert update_gflop(Row("joint", 1)) == pytest.approx(2 * (38_000 + 2_373_360 + 658_560) / 1e9)
    assert update_gflop(Row("sequential", 36)) == pytest.approx(2 * (7 * 2_411_360 + 658_560) / 1e9)
    assert update_gflop(Row("joint", 36, "freeze")) == pytest.approx(2 * (2_411_360 + 439_040) / 1e9)


def test_the_curves_are_drawn_and_every_row_has_its_line(tmp_path: Path) -> None:
    found = [{"matmul": [100.0], "plain": [10.0, 5.0], BEFORE: [20.0] * len(ROWS), HERE: [200.0 + k] * len(ROWS)} for k in range(3)]
    results = results_of(found, ROWS)
    assert len(table(results).splitlines()) == 2 + 2 + len(ROWS)
    figure(results, tmp_path / "curves.png")
    assert 10_000 < (tmp_path / "curves.png").stat().st_size < 200_000


def test_stages_of_an_update_add_up_and_say_what_bounds_it() -> None:
    kernels = dict.fromkeys(random_stages.KINDS.values(), 1.0)
    found = {"cores": 2, "updates": 3, "gflop": 0.6, "matmul_gflops": 200.0}
    found |= {f"{n} threads": kernels | {random_stages.REST: rest, "whole": 4.0 + rest} for n, rest in ((1, 4.0), (2, 6.0))}
    found["freeze"] = kernels | {random_stages.REST: 12.0, "whole": 16.0}
    table = random_stages.table(found)
    assert table.splitlines()[0].count("|") == 5
    assert "| whole | 8.0 ms | 10.0 ms | 16.0 ms |" in table
    assert "passes are 12 %" in random_stages.verdict(found)
    assert "would take 3.0 ms" in random_stages.verdict(found)
    assert "6.0 ms (60 %)" in random_stages.verdict(found)
    assert "1.11 times" in random_stages.verdict(found)
    slower = found | {"2 threads": kernels | {random_stages.REST: 1.0, "whole": 5.0}}
    assert "1.0 ms (20 %)" in random_stages.verdict(slower)


def test_the_page_says_what_the_command_s_file_says(tmp_path: Path) -> None:
    row = {
        "against": "abc",
        "side": 9,
        "repetitions": 3,
        "before_s": [60, 70, 65],
        "now_s": [30, 31, 29],
        "ratio": 2.1,
        "ratio_spread": [2.0, 2.4],
    }
    content = row | {"stages": [{"stage": "paths", "seconds": 9.0, "share": 0.9}, {"stage": "lines", "seconds": 0.1, "share": 0.1}]}
    content |= {"descent": {"seconds": 8.0, "optimiser_s": 5.0, "iterations": 800, "weights": 46000}}
    (tmp_path / "landscape_command.json").write_text(json.dumps(content))
    text = page.command(tmp_path)
    assert "takes 30 s of processor time, 65 s with the code of abc: 2.10 times as fast (2.00 to 2.40; 3 repetitions)" in text
    assert "paths 9.0 s" in text
    assert "lines" not in text
    assert "8.0 s for 800 L-BFGS iterations, 5.0 s of that" in text


def test_tiles_beside_float32_and_what_bounds_the_dense_agent() -> None:
    row = {"float32_ms": 2.0, "tiles_ms": 1.0, "ratio": 2.0, "spread": [1.5, 2.25]}
    found = {"work": {"a layer": row}, "dense": {"update_us": 100.0, "products_us": 20.0, "conversions_us": 6.5}}
    assert tiles.table(found).splitlines()[-1] == "| a layer | 2 ms | 1 ms | 2.00 (1.50 to 2.25) |"
    assert "Were they free, it would be 1.25 times as fast" in tiles.verdict(found)
