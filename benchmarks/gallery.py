"""Draws the pictures of docs/gallery.md again, each with what its block leaves as `axes`: `python -m benchmarks.gallery`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gallery.md"


def main() -> None:
    """Run every block and write its picture where the page has it."""
    found = re.findall(r"```python\n(.*?)```\n\n!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block, place in found:
        names: dict[str, Any] = {}
        exec(compile(block, place, "exec"), names)
        (PAGE.parent / place).parent.mkdir(exist_ok=True)
        names["axes"].figure.savefig(PAGE.parent / place, dpi=90)
        print(place)


if __name__ == "__main__":
    main()
