from __future__ import annotations

import base64
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from crar_reports.figures.interactive import interactive_surface, surface_page
from crar_reports.figures.surface import ALONE, PAIR, Words
from crar_reports.press.html import write_html
from tests.crar_reports.pages import Tags, whole_page

PUBLISHED = sorted((Path(__file__).parents[2] / "reports" / "published").glob("*/report.md"))
PAGE = """# A < B

`surface.html` and `gone.html`, [another](other/report.md), [no page](README.md), [elsewhere](https://example.org/report.md)

| a | b |
|---|---|
| 1 | `x` |

![what it shows](figure.svg)

<script>alert(1)</script>
"""


@pytest.mark.parametrize("report", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_reports_are_whole_pages(report: Path, tmp_path: Path) -> None:
    for file in report.parent.iterdir():
        (tmp_path / file.name).symlink_to(file)
    write_html(report.read_text(), tmp_path / "report.html")
    whole_page(tmp_path / "report.md")
    title = report.read_text().split("\n")[0].removeprefix("# ")
    assert f"<title>{title}</title>" in unescape((tmp_path / "report.html").read_text())


def test_a_command_longer_than_a_name_may_be_is_a_command(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("")
    command = "crar maps" + " --transfer run" * 40  # no slash, and more than 255 letters
    text = write_html(f"`{command}`, `data.csv`, `other.csv`", tmp_path / "report.html").read_text()
    assert len(Tags(text).all("code")) == 3
    assert command in re.sub("</?(span|wbr)>", "", text)  # breaks between words alone
    assert '<a href="data.csv">' in text
    assert "other.csv</code></a>" not in text


def test_what_a_page_shows_and_links(tmp_path: Path) -> None:
    figure = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    (tmp_path / "figure.svg").write_bytes(figure)
    (tmp_path / "surface.html").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.html").touch()
    text = write_html(PAGE, tmp_path / "report.html").read_text()
    tags = Tags(text)
    assert "<title>A &lt; B</title>" in text
    assert tags.all("img") == [{"src": f"data:image/svg+xml;base64,{base64.b64encode(figure).decode()}", "alt": "what it shows"}]
    links = [link["href"] for link in tags.all("a")]
    assert links == ["surface.html", "other/report.html", "README.md", "https://example.org/report.md"]
    assert len(tags.all("td")) == 2
    assert len(tags.all("script")) == 1  # that of the page, which sorts; HTML in the Markdown is text
    assert "&lt;script&gt;alert(1)" in text
    (tmp_path / "figure.svg").unlink()
    with pytest.raises(FileNotFoundError, match=r"figure\.svg"):
        write_html(PAGE, tmp_path / "report.html")


@pytest.fixture
def surface() -> xr.Dataset:
    """Two terms over 5x5 places, `total` 0 at the first model."""
    steps = np.linspace(0.0, 1.0, 5)
    x, y = np.meshgrid(steps, steps)
    return xr.Dataset({"transition": (("y", "x"), x * y + 1.0), "total": (("y", "x"), 10.0 * (x + y))}, coords={"x": steps, "y": steps})


@pytest.mark.parametrize("words", [PAIR, ALONE], ids=["pair", "alone"])
def test_the_surface_page_hides_nothing(surface: xr.Dataset, words: Words) -> None:
    figure = interactive_surface(surface, words).to_dict()
    layout, traces = figure["layout"], figure["data"]
    bar = traces[0]["colorbar"]
    assert (bar["orientation"], bar["yanchor"], bar["y"]) == ("h", "top", 0.0)  # below the scene, as wide as the window
    page = unescape(surface_page(surface, words))
    for text in (f"{words.encoder}; {words.dynamics}", words.slice, *(mark[0] for mark in words.marks)):
        assert text in page[: page.index("<main>")]  # title and legend are text, which wraps; plotly's would be cut off
    assert layout["showlegend"] is False
    assert "title" not in layout
    assert layout["scene"]["aspectmode"] == "manual"  # not by the data: a term over six decades would stand out of the page
    assert [axis["title"]["text"] for axis in (layout["scene"][f"{k}axis"] for k in "xy")] == ["encoder", "dynamics"]
    assert "text" not in {mode for trace in traces for mode in trace.get("mode", "").split("+")}  # labels lie over the surface, not in it
    labels = [mark[0] for mark in words.marks]
    assert [trace["name"] for trace in traces[:5]] == ["total", words.slice, *labels]
    buttons = layout["updatemenus"][0]["buttons"]
    assert [button["label"] for button in buttons] == ["total", "transition"]
    for number, button in enumerate(buttons):
        shown, moved = button["args"]
        assert shown["visible"] == [k // 5 == number for k in range(10)]
        annotations = moved["scene.annotations"]
        assert [a["text"].replace("<br>", " ") for a in annotations] == labels
        for annotation, mark in zip(annotations, words.marks, strict=True):
            value = float(surface[button["label"]].sel(x=mark[1], y=mark[2]))
            assert annotation["z"] == pytest.approx(np.log10(max(value, 1e-9)) + 0.02)
    assert [a["z"] for a in layout["scene"]["annotations"]] == [a["z"] for a in buttons[0]["args"][1]["scene.annotations"]]


def test_the_surface_page_opens_offline(surface: xr.Dataset) -> None:
    text = surface_page(surface)
    tags = Tags(text)
    assert len(text) > 1_000_000  # the library is inside
    assert all("src" not in script for script in tags.all("script"))
    assert not tags.all("link")
    assert '"showSendToCloud": false' in text
