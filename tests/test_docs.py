"""What the documents say runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from crar_model import tasks

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "reports" / "published" / "README.md"]


APART = ROOT / "docs" / "notebook.md"
"""A page whose blocks go on from each other: test_notebook.py runs it."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if page != APART], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TASKS", dict(tasks.TASKS))  # a page may add one
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), {})
    assert page.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_name_real_options(page: Path) -> None:
    lines = [line for block in blocks(page, "console") for line in block.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if not words or words[0] != "crar":
            continue
        shown = CliRunner().invoke(app, [words[1], "--help"], env={"COLUMNS": "200"}).output
        assert "Usage" in shown, line
        for word in words[2:]:
            if word.startswith("--"):
                assert re.search(rf"{word}\b", shown), f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    prose = [line for line in lines if not line.startswith(("|", "!", "crar "))]
    assert max(map(len, prose)) <= 170  # a line is no paragraph
    assert [line for line in lines[:45] if line.startswith("## ")][:3] == ["## Install", "## Three commands", "## What came out"]


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = re.findall(r"\S+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert {page.relative_to(ROOT).as_posix() for page in PAGES[:-1]} <= {*navigation}


@pytest.mark.parametrize(("page", "least"), [("docs/architecture.md", 40), ("CONTRIBUTING.md", 20)])
def test_a_page_names_files_that_are_there(page: str, least: int) -> None:
    named = {name for name in re.findall(r"`([^`\s]+)`", (ROOT / page).read_text(encoding="utf-8")) if "/" in name and "NAME" not in name}
    assert len(named - {"build/site"}) >= least
    assert not [name for name in named - {"build/site"} if not (ROOT / name).exists()]


def test_the_house_has_the_rooms_that_its_page_names() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for package in ("crar_model", "crar_reports") for path in (ROOT / package).glob("*/__init__.py")}
    tables = [re.findall(r"`(\w+)`", row.split("|")[2]) for row in page.splitlines() if re.match(r"\| \d ", row)]
    assert rooms <= {name for names in tables for name in names}
