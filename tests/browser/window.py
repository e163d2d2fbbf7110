"""A headless Chromium for tests: opens a page offline at a width, drags, presses keys, and says what the page shows."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any, cast

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-unsafe-swiftshader",
)  # fmt: skip
SHOTS = "CRAR_SCREENSHOTS"
"""Folder of screenshots, of the environment; none are kept without it."""
PATIENCE = 600
"""Seconds that an answer of the browser is waited for; without a graphics card a surface is slow."""
WIDER = """
const edge = document.documentElement.clientWidth + 1, scrolls = (e) => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
return [...document.body.querySelectorAll('*')].filter((e) => e.getClientRects().length && e.getBoundingClientRect().right > edge && !scrolls(e.parentElement))
    .map((e) => e.tagName + ': ' + e.textContent.slice(0, 60));
"""
"""Elements that reach beyond the right edge and lie in no box that scrolls."""


def missing() -> str | None:
    """Why there is no browser to test with; None where there is one."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(lacking)} on this machine; `make browser` installs them" if lacking else None


class Window:
    """One browser window. Nothing is fetched: a page that asks for anything but files fails in :meth:`errors`."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver"))))
        cast(Any, self.driver.command_executor).client_config.timeout = PATIENCE
        self.driver.set_page_load_timeout(60)

    def open(self, page: Path, width: int, height: int = 900, *, dark: bool = False, at: str = "") -> None:
        """Open a file at a width in CSS pixels, a phone's touch screen below 600; `at` is what follows the name, such as "#here"."""
        self.driver.get_log("browser")  # of the page before
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 600})
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.driver.get(page.resolve().as_uri() + at)

    def run(self, script: str, *values: Any) -> Any:
        """What a script returns: "return document.title"."""
        return self.driver.execute_script(script, *values)

    def one(self, selector: str) -> WebElement:
        """The element of a CSS selector."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """All elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def drag(self, element: WebElement, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press in an element, move, let go; places in pixels from its upper left corner."""
        box = element.rect
        middle = box["width"] / 2, box["height"] / 2
        (x, y), (u, v) = (tuple(round(value - half) for value, half in zip(place, middle, strict=True)) for place in (start, end))
        chain = ActionChains(self.driver, duration=50).move_to_element_with_offset(element, x, y).click_and_hold()
        for step in range(1, 6):
            chain = chain.move_to_element_with_offset(element, x + (u - x) * step // 5, y + (v - y) * step // 5)
        chain.release().perform()

    def press(self, *keys: str) -> None:
        """Press keys, one after another, where the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def errors(self) -> list[str]:
        """What the page complained of since it was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def too_wide(self) -> list[str]:
        """Elements beyond the right edge that no box lets a reader scroll to; the page itself is among them where it scrolls sideways."""
        found: list[str] = self.run(WIDER)
        sideways = self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return [*found, *([f"the page scrolls sideways by {sideways} pixels"] if sideways > 0 else [])]

    def shot(self, name: str, *, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page; kept as NAME.png in the folder that `CRAR_SCREENSHOTS` names."""
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        data = base64.b64decode(picture["data"])
        if folder := os.environ.get(SHOTS):
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(data)
        return data

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()
