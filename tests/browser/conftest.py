"""One browser for all tests; each is skipped, with the reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.window import Window


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A window with a profile of its own."""
    pytest.importorskip("selenium", reason="Selenium is not installed; `make browser` installs it")
    from tests.browser.window import Window, missing

    if (why := missing()) is not None:
        pytest.skip(why)
    opened = Window(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
