"""docs/tour.ipynb is docs/notebook.md, and its cells run one after another."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.notebook import NOTEBOOK, PAGE, written
from crar_reports.face.page import Page


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as Jupyter does; the value of its last line, where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_notebook_is_the_page() -> None:
    assert NOTEBOOK.read_text(encoding="utf-8") == written(PAGE.read_text(encoding="utf-8"))


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    shown = [run_cell("".join(cell["source"]), names) for cell in cells]
    for value in shown:  # as a notebook shows them
        assert repr(value)
        if hasattr(value, "_repr_html_"):
            assert value._repr_html_().startswith("<")
    assert (tmp_path / "runs" / "landscape" / "report.md").read_text() == names["page"].text
    assert (tmp_path / "runs" / "report" / "report.html").exists()
    assert "report: " not in str(names["outlook"])
    assert "did you mean learning_rate?" in capsys.readouterr().out
    pages = [value for value in shown if isinstance(value, Page)]
    assert [page.temporary for page in pages] == [True, False]
    assert all(path.stat().st_size for page in pages for path in page.figures.values())
