"""docs/tour.ipynb from docs/notebook.md, so that there is one source of both: `python -m benchmarks.notebook`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
PAGE, NOTEBOOK = DOCS / "notebook.md", DOCS / "tour.ipynb"


def notebook(page: str) -> dict[str, Any]:
    """A Jupyter notebook (nbformat 4.5) of a page: its blocks of Python are cells of code, what stands between them cells of text."""
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"```python\n(.*?)```", page, flags=re.DOTALL)):
        text = part.strip("\n")
        if text:
            code = number % 2 == 1
            cell = {
                "cell_type": "code" if code else "markdown",
                "id": f"cell-{number}",
                "metadata": {},
                "source": text.splitlines(keepends=True),
            }
            cells.append(cell | ({"execution_count": None, "outputs": []} if code else {}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def written(page: str) -> str:
    """The notebook's file."""
    return json.dumps(notebook(page), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
