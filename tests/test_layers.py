"""The arrows of the house point one way: cli -> reports -> {crar_model, landscape_tools}."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"crar_model": {"cli", "reports", "landscape_tools"}, "landscape_tools": {"cli", "reports", "crar_model"}, "reports": {"cli"}}


@pytest.mark.parametrize("package", list(FORBIDDEN))
def test_imports_point_downwards(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.split(".")[0] not in FORBIDDEN[package], f"{path} imports {name}"
