"""Every kind of page in a real browser, at the width of a desk and of a phone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crar_reports.press.html import write_html
from tests.browser.window import Window

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
PAGES = sorted(path.parent.relative_to(PUBLISHED) for path in PUBLISHED.glob("**/report.md"))
WIDTHS = (1280, 390)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published pages with their HTML."""
    folder = tmp_path_factory.mktemp("published") / "pages"
    shutil.copytree(PUBLISHED, folder, ignore=shutil.ignore_patterns("*.tar.xz", "*.html"))
    for page in folder.glob("**/report.md"):
        write_html(page.read_text(encoding="utf-8"), page.with_suffix(".html"))
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_page(window: Window, site: Path, page: Path, width: int) -> None:
    window.open(site / page / "report.html", width)
    window.shot(f"{str(page).replace('/', '-')}-{width}")
    assert window.errors() == []
    assert window.too_wide() == []
    assert window.run("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
