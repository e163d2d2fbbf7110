"""Every kind of page in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from crar_model.core.settings import PlaySettings
from crar_reports.figures.interactive import surface_page
from crar_reports.figures.style import DARK_PAPER, PAPER
from crar_reports.figures.surface import PAIR
from crar_reports.pages.compare.page import write_compare
from crar_reports.press.html import write_html

if TYPE_CHECKING:  # it needs Selenium
    from tests.browser.window import Window

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
PAGES = sorted(path.parent.relative_to(PUBLISHED) for path in PUBLISHED.glob("**/report.md"))
WIDTHS = (1280, 390)
LINES = """
const node = document.createRange(), lines = [];
for (const code of document.querySelectorAll('code'))
  for (const word of code.querySelectorAll('span')) { node.selectNodeContents(word); if (node.getClientRects().length > 1) lines.push(word.textContent); }
return lines;
"""
"""Parts of code that are broken over lines."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published pages with their HTML."""
    folder = tmp_path_factory.mktemp("published") / "pages"
    shutil.copytree(PUBLISHED, folder, ignore=shutil.ignore_patterns("*.tar.xz", "*.html"))
    for page in folder.glob("**/report.md"):
        write_html(page.read_text(encoding="utf-8"), page.with_suffix(".html"))
    return folder


@pytest.fixture(scope="session")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interactive surface of the published landscape."""
    path = tmp_path_factory.mktemp("surface") / "surface.html"
    path.write_text(surface_page(xr.load_dataset(PUBLISHED / "landscape" / "surface.nc")), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two published studies side by side."""
    folder = tmp_path_factory.mktemp("compare")
    write_compare(
        [PUBLISHED / "recipe", PUBLISHED / "random_study"], folder, how=PlaySettings(), command="crar compare recipe random_study"
    )
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_fits_and_shows_its_figures(window: Window, site: Path, page: Path, width: int) -> None:
    window.open(site / page / "report.html", width)
    window.shot(f"{str(page).replace('/', '-')}-{width}")
    assert window.errors() == []
    assert window.too_wide() == []
    assert window.run("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert window.run(LINES) == []


@pytest.mark.parametrize("page", ["simple_maze", "random_mazes", "random_study", "landscape"])
def test_a_table_hides_no_column_at_a_desk(window: Window, site: Path, page: str) -> None:
    window.open(site / page / "report.html", 1280)
    hidden = "return [...document.querySelectorAll('.table')].filter((t) => t.scrollWidth > t.clientWidth).map((t) => t.textContent.trim().slice(0, 60))"
    assert window.run(hidden) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_number_stands_on_one_line(window: Window, site: Path, width: int) -> None:
    window.open(site / "landscape" / "report.html", width)
    broken = """
    const lines = (c) => { const r = document.createRange(); r.selectNodeContents(c); return new Set([...r.getClientRects()].map((b) => b.top)).size; };
    return [...document.querySelectorAll("td")].filter((c) => /^-?[\\d.]+e-\\d+$/.test(c.textContent) && lines(c) > 1).map((c) => c.textContent);
    """
    assert window.run(broken) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_follows_the_light(window: Window, site: Path, dark: bool) -> None:
    window.open(site / "cure" / "report.html", 1280, dark=dark)
    window.shot(f"cure-{'dark' if dark else 'light'}")
    ink, paper, around = window.run(
        "const s = getComputedStyle(document.body), i = getComputedStyle(document.images[0]); return [s.color, s.backgroundColor, i.backgroundColor]"
    )
    wanted = DARK_PAPER if dark else PAPER
    assert paper == f"rgb({', '.join(str(int(wanted[k : k + 2], 16)) for k in (1, 3, 5))})"
    assert (int(ink[4:].split(",")[0]) > 128) is dark
    assert around == "rgb(255, 255, 255)"  # a figure is drawn for light


def column(window: Window, name: str) -> list[str]:
    """The cells of the first table's column, as they stand."""
    found: list[str] = window.run(
        "const t = document.querySelector('table'), at = [...t.tHead.rows[0].cells].findIndex((c) => c.textContent === arguments[0]);"
        "return [...t.tBodies[0].rows].map((r) => r.cells[at].textContent)", name,
    )  # fmt: skip
    return found


def press_head(window: Window, name: str) -> str | None:
    """Sort by a column with the keyboard's way, a press of its button; what the head says of its order then."""
    found: str | None = window.run(
        "const h = [...document.querySelectorAll('table th')].find((c) => c.textContent === arguments[0]); h.querySelector('button').click();"
        "return h.getAttribute('aria-sort')", name,
    )  # fmt: skip
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison_sorts_by_its_columns(window: Window, comparison: Path, width: int) -> None:
    window.open(comparison / "report.html", width)
    window.shot(f"compare-{width}")
    assert window.errors() == []
    assert window.too_wide() == []
    groups = json.loads((comparison / "results.json").read_text())["groups"]
    counts = [f"{group['count']}/{group['of']}" for group in groups]
    assert column(window, "succeeded") == counts
    assert press_head(window, "succeeded") == "ascending"
    shares = [int(count) / int(of) for count, of in (cell.split("/") for cell in column(window, "succeeded"))]
    assert shares == sorted(group["share"] for group in groups)
    assert press_head(window, "succeeded") == "descending"
    assert [int(count) / int(of) for count, of in (cell.split("/") for cell in column(window, "succeeded"))] == shares[::-1]
    assert press_head(window, "succeeded") is None
    assert column(window, "succeeded") == counts  # as it was
    assert press_head(window, "rate") == "ascending"
    rates = column(window, "rate")
    numbers = [float(rate) for rate in rates if rate != "-"]
    assert numbers == sorted(numbers)
    assert set(rates[len(numbers) :]) <= {"-"}  # what there is not stands last


@pytest.mark.parametrize("width", WIDTHS)
def test_the_surface_has_its_title_bar_and_marks(window: Window, surface: Path, width: int) -> None:
    window.open(surface, width)
    window.shot(f"surface-{width}")
    assert window.too_wide() == []
    header = window.one("header").text
    for text in ("Loss over encoder x dynamics", PAIR.encoder, PAIR.dynamics, *(mark[0] for mark in PAIR.marks)):
        assert text in header
    boxes = window.run(
        "const box = (s) => { const b = document.querySelector(s).getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; };"
        "return [box('.colorbar'), box('header'), box('.updatemenu-container')]"
    )
    for left, right, top, bottom in boxes:
        assert left >= 0
        assert right <= width
        assert top >= 0
        assert bottom <= 900
    data = xr.load_dataset(PUBLISHED / "landscape" / "surface.nc")
    assert window.run(HEIGHT) == ["total", pytest.approx(height_of(data["total"]))]
    window.run("const gd = document.querySelector('.js-plotly-plot'); Plotly.update(gd, ...gd.layout.updatemenus[0].buttons[1].args)")
    name, height = window.run(HEIGHT)
    assert height == pytest.approx(height_of(data[name]))
    assert name != "total"


HEIGHT = """
const shown = document.querySelector('.js-plotly-plot')._fullData.filter((t) => t.type === 'surface' && t.visible === true);
return [shown.map((t) => t.name).join(), shown[0].z[3][5]];
"""


def height_of(term: xr.DataArray) -> float:
    """Of the surface at row 3, column 5."""
    return float(np.log10(max(1e-9, float(term.transpose("y", "x").values[3, 5]))))


def test_the_surface_turns_when_dragged(window: Window, surface: Path) -> None:
    window.open(surface, 1280)
    eye = "const e = document.querySelector('.js-plotly-plot')._fullLayout.scene._scene.getCamera().eye; return [e.x, e.y, e.z]"
    before = window.run(eye)
    window.drag(window.one(".js-plotly-plot"), (640, 420), (840, 400))
    assert window.run(eye) != pytest.approx(before)


def test_a_page_asks_for_nothing_from_elsewhere(window: Window, comparison: Path, surface: Path) -> None:
    for page in (comparison / "report.html", surface):
        window.open(page, 1280)
        assert (
            window.run("return performance.getEntriesByType('resource').map((r) => r.name).filter((n) => !/^(file|data|blob):/.test(n))")
            == []
        )
