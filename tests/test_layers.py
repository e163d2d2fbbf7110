"""The arrows of the house point one way, between the packages and between their floors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "crar_model": {"cli", "commands", "reports", "landscape_tools"},
    "landscape_tools": {"cli", "commands", "reports", "crar_model"},
    "reports": {"cli", "commands"},
    "commands": {"cli"},
}
FLOORS = {
    "crar_model": (
        ("errors", "compiled", "machine", "params", "streams", "words"),
        ("files", "ranges"),
        ("sizes",),
        ("settings",),
        ("tensor_files", "places"),
        ("mazes",),
        ("nets",),
        ("agents", "batches"),
        ("losses", "planning", "tasks"),
        ("acting", "losses_compiled"),
        ("checkpoints",),
        ("original", "symmetry", "keys"),
        ("evaluation",),
        ("drawn", "scoring"),
        ("cures",),
        ("training",),
        ("studies",),
    ),
    "commands": (
        ("config", "paths"),
        ("command",),
        ("app", "flags"),
        ("training", "judging", "pages", "curing", "predicting", "escaping", "studying"),
    ),
    "reports": (
        ("ratio", "samples"),
        ("threads", "tables", "glossary", "stages", "html", "statistics", "merit", "sections", "kept"),
        ("rules",),
        ("markdown",),
        ("models", "console"),
        ("runs",),
        ("measure",),
        ("sampled_rules",),
        ("claims", "data_files"),
        ("summaries",),
        ("claims_alone", "released_scores", "theorem_words"),
        ("figures",),
        ("interactive",),
        ("landscape", "alone", "theorem", "trajectory", "study", "many", "play", "cure"),
        ("demo", "cures", "study_table"),
        ("studies",),
        ("predict", "maps", "escape", "study_page"),
        ("verdicts", "escapes"),
    ),
}
"""Lowest first. What is loaded with a module lies below it, or in the same folder. `crar_model.tasks` loads what a task needs when it is used."""


def imports(node: ast.AST) -> Iterator[str]:
    """Names of modules that are loaded with a module: what functions import is loaded later, what types need is not loaded."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            yield from (f"{module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child)


def every_import(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        yield from imports(node)


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
    found = {path.relative_to(ROOT / package).with_suffix("").parts[0] for path in (ROOT / package).rglob("*.py")} - {"__init__"}
    assert found == set(floor), "a room without a floor, or a floor without its room"
    for path in (ROOT / package).rglob("*.py"):
        room = path.relative_to(ROOT / package).with_suffix("").parts[0]
        if room == "__init__":
            continue
        for name in imports(ast.parse(path.read_text())):
            words = name.split(".")
            if words[0] == package and len(words) > 1 and words[1] in floor and words[1] != room:
                assert floor[words[1]] < floor[room], f"{path} loads {name}"


def modules(package: str) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, wherever in the file."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / package).rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        wanted = set(every_import(path))
        graph[module] = {
            other for other in files if other != module and any(name == other or name.startswith(other + ".") for name in wanted)
        }
    return graph


@pytest.mark.parametrize("package", ["landscape_tools", "reports"])
def test_no_circles(package: str) -> None:
    """Not even through what functions import."""
    graph = modules(package)
    while leaves := {module for module, wanted in graph.items() if not wanted}:
        graph = {module: wanted - leaves for module, wanted in graph.items() if module not in leaves}
    assert not graph, f"circular imports among {sorted(graph)}"


def test_mazes_have_names_in_one_table_only() -> None:
    """No branch on a maze's name, a layer's type or the rank of an abstract state outside the table of tasks."""
    for package in ("crar_model", "reports", "commands"):
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
