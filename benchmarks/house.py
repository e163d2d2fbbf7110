"""The structure of a checkout in figures: rooms, floors, arrows, circles, lines and string subscripts of every package.

python -m benchmarks.house                # of this checkout
python -m benchmarks.house PATH ...       # of others, side by side
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONG = 300
Graph = dict[str, set[str]]


def files_of(root: Path, package: str) -> dict[str, Path]:
    """Module -> file; a package is called as its folder."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(tree: ast.AST, files: dict[str, Path]) -> Iterator[str]:
    """Modules of `files` that a file names in its imports, in functions and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                if inside in files or node.module in files:
                    yield inside if inside in files else node.module


def circles(graph: Graph) -> list[set[str]]:
    """Sets of nodes that reach each other."""
    reach = {node: _reached(graph, node) for node in graph}
    found: list[set[str]] = []
    for node in graph:
        ring = {other for other in reach[node] if node in reach.get(other, ())}
        if ring and ring not in found:
            found.append(ring)
    return found


def _reached(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting.extend(graph.get(node, ()))
    return seen


def floors(rooms: Graph) -> int:
    """Length of the longest chain of rooms, those of a circle on one floor."""
    height: dict[str, int] = {}
    left = dict(rooms)
    while left:
        ready = {room for room, below in left.items() if not (below - set(height))}
        ready = ready or {room for ring in circles(left) for room in ring} or set(left)
        for room in ready:
            height[room] = 1 + max((height[other] for other in rooms[room] if other in height), default=0)
            left.pop(room)
    return max(height.values(), default=0)


def figures(root: Path, package: str) -> dict[str, int]:
    """Counts of one package."""
    files = files_of(root, package)
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}
    modules = {name: set(imported(tree, files)) - {name} for name, tree in trees.items()}

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2])

    rooms: Graph = {}
    for name, wanted in modules.items():
        if name != package:  # the face
            rooms.setdefault(room(name), set()).update(room(other) for other in wanted if other != package and room(other) != room(name))
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files.items()}
    subscripts = sum(
        isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        for tree in trees.values()
        for node in ast.walk(tree)
    )
    return {
        "rooms": len(rooms),
        "floors": floors(rooms),
        "arrows": sum(map(len, rooms.values())),
        "circles of rooms": len(circles(rooms)),
        "circles of files": len(circles({name: wanted - {package} for name, wanted in modules.items() if name != package})),
        "files": len(files),
        "lines": sum(lines.values()),
        f"files over {LONG} lines": sum(count > LONG for count in lines.values()),
        "string subscripts": subscripts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT])
    for root in parser.parse_args().checkouts:
        packages = [path.parent.name for path in sorted(root.glob("*/__init__.py")) if path.parent.name not in ("tests", "benchmarks")]
        table = {package: figures(root, package) for package in packages}
        print(f"{root.name}: {sum(own['lines'] for own in table.values()):,} lines")
        for what in next(iter(table.values())):
            print(f"  {what:<22}" + "".join(f"{package} {own[what]:>6,}   " for package, own in table.items()))


if __name__ == "__main__":
    main()
