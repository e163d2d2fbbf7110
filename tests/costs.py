"""Which tests cost most: `python -m tests.costs [ARGUMENTS OF PYTEST]` runs them in one process and prints the dearest tests, files and fixtures.

Costs are seconds of processor time, of this process and its children, so that other work on the machine does not count.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Generator
from typing import Any

import psutil
import pytest

SHOWN = 25
"""Rows of a table."""


def spent() -> float:
    """Processor seconds until now, of this process, of those that it has waited for, and of those that it still has."""
    found = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += sum(child.cpu_times()[:4])
    return found


class Costs:
    """A plugin of pytest. What a fixture costs is not counted again in the test that asked for it first."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()
        self.fixtures: Counter[str] = Counter()
        self.inner = [0.0]  # what the fixtures within the fixture or test that is running cost

    def _count(self, counter: Counter[str], name: str) -> Generator[None, Any, Any]:
        before = spent()
        self.inner.append(0.0)
        try:
            return (yield)
        finally:
            cost = spent() - before
            counter[name] += cost - self.inner.pop()
            self.inner[-1] += cost

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        return (yield from self._count(self.tests, item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        return (yield from self._count(self.fixtures, f"{fixturedef.baseid}::{fixturedef.argname}"))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files: Counter[str] = Counter()
        for name, cost in self.tests.items():
            files[name.split("::")[0]] += cost
        for title, counter in (("tests", self.tests), ("files", files), ("shared fixtures", self.fixtures)):
            terminalreporter.section(f"{title}: {len(counter)}, {counter.total():.1f} processor seconds")
            for name, cost in counter.most_common(SHOWN):
                terminalreporter.line(f"{cost:8.1f}  {name}")


if __name__ == "__main__":
    sys.exit(pytest.main(["-p", "no:xdist", *sys.argv[1:]], plugins=[Costs()]))
