"""The documentation as a site, opened from the disk: pages fit, nothing comes from elsewhere, and the search finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # it needs Selenium
    from tests.browser.window import Window

SITE = Path(__file__).parents[2] / "build" / "site"
PLACES = (
    "index.html",
    "figures.html",
    "docs/gallery.html",
    "api/landscape_tools.html",
    "docs/architecture.html",
    "reports/published/landscape/report.html",
)
FOREIGN = "return performance.getEntriesByType('resource').map((r) => r.name).filter((n) => !/^(file|data|blob):/.test(n))"
pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="the site is not built; `make browser` and `make docs` build it")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("place", PLACES)
def test_a_page_of_the_site_fits(window: Window, place: str, width: int) -> None:
    window.open(SITE / place, width)
    window.shot(f"site-{Path(place).stem}-{width}")
    assert window.errors() == []
    assert window.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert window.run("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert window.run(FOREIGN) == []


def test_the_search_finds_without_a_server(window: Window) -> None:
    window.open(SITE / "index.html", 1280)
    from selenium.webdriver.support.ui import WebDriverWait

    field = window.one(".md-search__input")
    field.click()
    field.send_keys("elastic_band")
    found = WebDriverWait(window.driver, 60).until(lambda _: [link.get_attribute("href") for link in window.all(".md-search-result__link")])
    assert any("api/landscape_tools.html" in str(href) for href in found)
    window.shot("site-search-1280")
    assert window.errors() == []
