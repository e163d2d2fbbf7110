"""The explorer in a real browser: dragged, played, walked by keys and fingers, and what it shows held against the package's own numbers."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from crar_model.core.params import select
from crar_model.models.checkpoints import load_checkpoint
from crar_model.samples import BASE, FAILED, RANDOM_BASE
from crar_reports.figures.explorer import end_data, explorer_page
from crar_reports.figures.explorer_maps import WEIGHTS, chosen_scene, cure_line, line_way
from crar_reports.measure.mended import Mended
from crar_reports.measure.shown_states import encoder_along
from crar_reports.measure.subject import Subject, load_subject
from crar_reports.pages.landscape.again import explorer_again
from tests.crar_reports.explorer_data import data_of, dynamics_of, total_at

pytest.importorskip("tests.browser.window", reason="needs Selenium and the window of these tests", exc_type=ImportError)
if TYPE_CHECKING:
    from tests.browser.window import Window

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
PAGE = PUBLISHED / "landscape" / "explorer.html"
RESULTS: dict[str, Any] = json.loads((PUBLISHED / "landscape" / "results.json").read_text())
PIXELS = """
const box = document.getElementById("surface").getBoundingClientRect(), at = frame(surface(), box.width, box.height);
return arguments[0].map(([x, y]) => [at.px(x), at.py(y)]);
"""
PAINTED = """
return [...document.querySelectorAll("canvas")].filter((c) => c.getClientRects().length).map((c) => {
  const copy = Object.assign(document.createElement("canvas"), { width: c.width, height: c.height }).getContext("2d", { willReadFrequently: true });
  copy.drawImage(c, 0, 0);
  const inked = copy.getImageData(0, 0, c.width, c.height).data.filter((part, k) => k % 4 === 3 && part).length;
  return [c.id, inked / (c.width * c.height)];
});
"""


def shown(window: Window, wanted: str) -> Any:
    """A part of what is shown, once the picture is drawn."""
    window.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    return window.run(f"return {wanted}")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", sorted(PUBLISHED.glob("**/explorer.html")), ids=lambda page: page.parent.name)
def test_everything_is_drawn_and_fits(window: Window, page: Path, width: int, dark: bool) -> None:
    window.open(page, width, dark=dark)
    for way in range(-1, len(data_of(page)["ways"])):
        window.run("explorer.show({ way: arguments[0], t: 0 })", way)
        drawn = dict(shown(window, "0") or window.run(PAINTED))
        assert {"embedding", "bars", "maze"} <= set(drawn), way
        assert all(share > 0.02 for share in drawn.values()), (way, drawn)
    window.shot(f"explorer-{page.parent.name}-{width}-{'dark' if dark else 'light'}", whole=True)
    assert window.errors() == []
    assert window.too_wide() == []
    assert window.run("return explorer.compared().most") < 1e-4


def test_dragging_shows_the_losses_of_that_place(window: Window) -> None:
    data, pair = data_of(PAGE), load_subject(FAILED, BASE)
    widths, (surface,) = pair.agent.dynamics_widths, data["surfaces"]
    assert widths is not None
    window.open(PAGE, 1280)
    start, end = window.run(PIXELS, [[0, 0], [0.4, 0.7]])
    window.drag(window.one("#surface"), start, end)
    place = shown(window, "{ x: explorer.shown().x, y: explorer.shown().y, total: explorer.shown().terms.total }")
    assert (place["x"], place["y"]) == (pytest.approx(0.4, abs=0.01), pytest.approx(0.7, abs=0.01))
    embedding = (1 - place["x"]) * surface["encoder"][0].astype(float) + place["x"] * surface["encoder"][1]
    flat = (1 - place["y"]) * data["net"]["own"].astype(float) + place["y"] * surface["adapted"]
    assert place["total"] == pytest.approx(total_at(pair, dynamics_of(flat, pair.failed, widths), embedding), rel=1e-6)
    assert f"total loss {place['total']:.3g}" in window.one("#where").text


def test_playing_goes_from_failed_to_restored(window: Window) -> None:
    window.open(PAGE, 1280)
    failed, restored = ([RESULTS[name][k] for name in ("accuracy", "navigation")] for k in (0, 1))
    assert shown(window, "[explorer.shown().seen.accuracy, explorer.shown().navigation]") == pytest.approx(failed, abs=1e-12)
    next(button for button in window.all("#choices button") if button.text == "Frozen path").click()
    assert shown(window, "explorer.shown().terms.total") == pytest.approx(RESULTS["certificate"]["loss"], rel=1e-5)
    window.run(
        "window.seen = []; const note = () => window.seen.push(explorer.view.t);"
        "new MutationObserver(note).observe(document.getElementById('slider'), { attributeFilter: ['aria-valuetext'] });"
    )
    window.one("#play").click()
    until = time.monotonic() + 120
    while window.run("return explorer.playing()") and time.monotonic() < until:
        time.sleep(0.2)
    seen = window.run("return window.seen")  # noted on the page, for the driver is too slow for its frames
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert shown(window, "explorer.view.t") == 1
    assert shown(window, "explorer.shown().terms.total") == pytest.approx(RESULTS["optimum_terms"]["total"], rel=1e-5)
    assert shown(window, "[explorer.shown().seen.accuracy, explorer.shown().navigation]") == pytest.approx(restored, abs=1e-12)


def test_the_cure_leads_to_a_model_that_finds_its_way(window: Window) -> None:
    window.open(PAGE, 1280)
    after = json.loads((PUBLISHED / "cure" / "results.json").read_text())["after"]
    window.run("explorer.show({ way: explorer.data.ways.findIndex((way) => way.name === 'cure'), t: 1 })")
    assert shown(window, "[explorer.shown().seen.accuracy, explorer.shown().navigation]") == pytest.approx(
        [after["nearest_state_accuracy"], after["navigation_success"]], abs=1e-12
    )
    assert shown(window, "explorer.shown().terms.total") == pytest.approx(
        after["terms"]["total"], rel=0.01
    )  # bootstrap values are the base's here
    window.run("explorer.show({ t: 0 })")
    assert shown(window, "explorer.shown().terms.total") == pytest.approx(RESULTS["failed_terms"]["total"], rel=1e-5)


@pytest.mark.parametrize("width", [1280, 390])
def test_maps_and_bars_of_the_random_mazes(window: Window, width: int, tmp_path: Path) -> None:
    base = load_checkpoint(RANDOM_BASE)
    failed = dataclasses.replace(base, inverse=True)  # without its first layer negated
    pair = Subject.of(failed, base, (RANDOM_BASE, RANDOM_BASE))
    there, line, about = cure_line(pair, Mended(select(pair.copy, ("encoder",)), "restart", True))
    encode = encoder_along(there, WEIGHTS)
    way = line_way(there, line, line["t"].values.tolist(), encode, about, cure=True)
    ends = [end_data("failed", "#d55e00", {name: float(line[name][0]) for name in line.data_vars})]
    scene = chosen_scene(there, [partial(encode, x) for x in (0.0, 1.0)])
    page = tmp_path / "explorer.html"
    page.write_text(explorer_page(title="Maps", lede="", command="crar", ends=ends, surfaces=[], ways=[way], scene=scene), encoding="utf-8")
    window.open(page, width)
    errors = []
    for t in (0, 1):
        window.run("explorer.show({ way: 0, t: arguments[0] })", t)
        terms = shown(window, "explorer.shown().terms")
        assert terms == pytest.approx({name: float(line[name][-t]) for name in terms}, rel=1e-5, abs=1e-9)
        assert len(terms) == len(line.data_vars)
        errors.append(window.run("return mapsError(explorer.shown().maps)"))
        drawn = dict(window.run(PAINTED))
        assert set(drawn) == {"embedding", "profile", "bars"}
        assert all(share > 0.02 for share in drawn.values()), drawn
    assert errors[1] < 0.5 * errors[0]  # the closed form predicts its moves
    window.shot(f"explorer-maps-{width}", whole=True)
    assert window.errors() == []
    assert window.too_wide() == []


def test_the_agent_walks_as_the_package_says(window: Window) -> None:
    window.open(PAGE, 1280)
    model = load_checkpoint(FAILED)
    cells = [tuple(cell) for cell in model.listed_maze().positions.tolist()]
    for start, goal in ((0, 30), (4, 12), (20, 3), (15, 29)):
        window.run("explorer.show({ start: arguments[0], goal: arguments[1] })", start, goal)
        walked, walk = shown(window, "explorer.route()"), model.go_to(cells[goal], cells[start])
        assert [cells[state] for state in walked["cells"]] == list(walk.cells)
        assert (walked["reached"], walked["shortest"]) == (walk.reached, walk.shortest)


def test_keys_move_marker_slider_and_goal(window: Window) -> None:
    window.open(PAGE, 1280)
    from selenium.webdriver.common.keys import Keys

    window.run("document.getElementById('surface').focus()")
    window.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert shown(window, "[explorer.shown().x, explorer.shown().y]") == pytest.approx([0.05, 0.025], abs=1e-6)
    window.run("explorer.show({ way: 1, t: 0 }); document.getElementById('slider').focus()")
    window.press(Keys.ARROW_RIGHT)
    assert shown(window, "explorer.view.t") == pytest.approx(0.001, abs=1e-6)
    window.run("explorer.show({ goal: 0 }); document.getElementById('maze').focus()")
    window.press(Keys.ARROW_DOWN)
    goal = shown(window, "explorer.view.goal")
    assert goal == data_of(PAGE)["maze"]["successor"][0][1]
    window.press(Keys.ENTER)
    assert shown(window, "explorer.view.start") == goal


def test_fingers_tap_a_cell_and_drag_the_marker(window: Window) -> None:
    window.open(PAGE, 390, 844)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in places]
        window.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    corner = "const box = document.getElementById(arguments[0]); box.scrollIntoView({ block: 'center' }); const at = box.getBoundingClientRect(); return [at.left, at.top]"
    left, top = window.run(corner, "surface")
    (x, y), (u, v) = window.run(PIXELS, [[0, 0], [0.6, 0]])
    touch("touchStart", (left + x, top + y))
    for share in (0.3, 0.6, 1.0):
        touch("touchMove", (left + x + share * (u - x), top + y + share * (v - y)))
    touch("touchEnd")
    assert shown(window, "explorer.shown().x") == pytest.approx(0.6, abs=0.02)
    left, top = window.run(corner, "maze")
    middle = "const box = document.getElementById('maze').getBoundingClientRect(), b = board(box.width, box.height); return [b.left + 1.5 * b.cell, b.top + 6.5 * b.cell]"
    x, y = window.run(middle)
    touch("touchStart", (left + x, top + y))
    touch("touchEnd")
    goal = shown(window, "explorer.view.goal")
    assert data_of(PAGE)["maze"]["positions"][goal].tolist() == [6, 1]


def test_it_prints_as_a_figure_of_one_page(window: Window) -> None:
    window.open(PAGE, 1280, dark=True)
    window.run("explorer.show({ way: 1, t: 1 })")
    shown(window, "0")
    printed = window.driver.print_page()
    assert len(printed) > 10_000
    assert base64.b64decode(printed).count(b"/Type /Page\n") == 1


def test_an_older_folder_has_surface_paths_and_bars(window: Window, tmp_path: Path) -> None:
    for name in ("results.json", "surface.nc", "lines.nc", "paths.nc"):
        shutil.copy(PAGE.parent / name, tmp_path / name)
    page = explorer_again(tmp_path, tmp_path, "crar landscape")
    window.open(page, 1280)
    window.run("explorer.show({ way: 1, t: 0.5 })")
    total = shown(window, "explorer.shown().terms.total")
    assert {name for name, _ in window.run(PAINTED)} == {"surface", "profile", "bars"}
    heights = data_of(page)["ways"][1]["heights"]
    assert total == pytest.approx(float(np.interp(0.5, heights["at"], heights["total"])), rel=1e-6)
    window.run("explorer.show({ way: 0, t: 1 })")
    bars = data_of(page)["ways"][0]["bars"]
    assert shown(window, "explorer.shown().terms.transition") == pytest.approx(
        float(np.interp(1.0, bars["at"], bars["values"]["transition"])), rel=1e-5
    )
    assert window.errors() == []
