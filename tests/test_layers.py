"""The arrows of the house point one way, between the packages and between their floors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "crar_model": {"cli", "crar_reports", "landscape_tools"},
    "landscape_tools": {"cli", "crar_reports", "crar_model"},
    "crar_reports": {"cli"},
}
FLOORS = {
    "crar_model": (("core",), ("mazes", "nets"), ("agent", "worlds"), ("tasks",), ("models",), ("cures",), ("training",), ("studies",)),
    "crar_reports": (
        ("models", "press", "progress", "sections", "statistics"),
        ("measure",),
        ("claims", "figures"),
        ("pages",),
        ("commands",),
    ),
}
"""Lowest first. What a room imports, wherever in a file and for whatever purpose, lies on a lower floor, or in the same room."""
FACES = {"crar_model": {"face", "samples"}, "crar_reports": {"face"}}
"""What users import, beside the rooms; no room of the package does, but the commands, which are users themselves and know the package's own names."""
USERS = {"commands"}


def every_import(path: Path) -> Iterator[str]:
    """Names that a file imports, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", list(FORBIDDEN))
def test_imports_point_downwards(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in every_import(path):
            assert name.split(".")[0] not in FORBIDDEN[package], f"{path} imports {name}"


@pytest.mark.parametrize("package", list(FLOORS))
def test_floors_stand_on_lower_ones(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms}
    rooms = {path.relative_to(ROOT / package).with_suffix("").parts[0] for path in (ROOT / package).rglob("*.py")} - {"__init__"}
    assert rooms == set(floor) | FACES[package], "a room without a floor, or a floor without its room"
    for path in (ROOT / package).rglob("*.py"):
        room = path.relative_to(ROOT / package).with_suffix("").parts[0]
        if room not in floor:
            continue
        known = FACES[package] if room in USERS else set[str]()
        for name in every_import(path):
            top, *inside = name.split(".")
            other = inside[0] if inside else "face"  # the package itself is its face
            if top == package and other not in {room, *known}:
                assert other in floor, f"{path} imports {name}, which is for users"
                assert floor[other] < floor[room], f"{path} imports {name}"


def modules(package: str) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / package).rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        wanted = set(every_import(path))
        graph[module] = {
            other for other in files if other != module and any(name == other or name.startswith(other + ".") for name in wanted)
        }
    return graph


@pytest.mark.parametrize("package", ["crar_model", "crar_reports", "landscape_tools"])
def test_no_circles(package: str) -> None:
    graph = modules(package)
    while leaves := {module for module, wanted in graph.items() if not wanted}:
        graph = {module: wanted - leaves for module, wanted in graph.items() if module not in leaves}
    assert not graph, f"circular imports among {sorted(graph)}"


def test_mazes_have_names_in_one_table_only() -> None:
    """No branch on a maze's name, a layer's type or the rank of an abstract state outside the table of tasks."""
    for package in ("crar_model", "crar_reports"):
        for path in [*(ROOT / package).rglob("*.py"), ROOT / "cli.py"]:
            inside = path.relative_to(ROOT).parts
            if inside[:2] in (("crar_model", "tasks"), ("crar_model", "mazes")):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    words = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                    assert not {"simple", "random"} & set(words), f"{path}:{node.lineno} asks which maze it is"
                    assert "abstract_shape" not in ast.dump(node), f"{path}:{node.lineno} asks for the rank of an abstract state"
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
                    kind = ast.unparse(node.args[1])
                    assert kind.split(".")[-1] not in ("Conv", "Linear", "ConvAgent", "DenseAgent"), f"{path}:{node.lineno} asks for a type"
