"""`landscape_tools` stands alone: it needs five libraries and nothing of the house around it."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = {"torch", "numpy", "scipy", "xarray", "matplotlib"}
ALONE = """
import sys
sys.modules.update(dict.fromkeys({refused}))  # what is None there cannot be imported, and counts as not installed
import torch, landscape_tools as lt
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
loss = lt.module_loss(net, torch.nn.functional.cross_entropy, torch.randn(6, 3), torch.arange(6) % 2)
plane = lt.sample_plane(loss, loss.point, *lt.random_axes(loss.point), [-1, 0, 1], [-1, 0, 1])
print(len(lt.to_html(plane)) > 1000, lt.spectrum(loss, loss.point).products)
"""


def test_every_import_is_of_python_or_of_the_five() -> None:
    for path in (ROOT / "landscape_tools").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                optional = {"gudhi"} if path.name == "valleys.py" else set()
                assert top in NEEDED | optional | {"landscape_tools"} | sys.stdlib_module_names, f"{path.name} imports {name}"


def test_its_own_distribution_needs_the_five_alone() -> None:
    own, whole = (tomllib.loads((ROOT / place / "pyproject.toml").read_text())["project"] for place in ("landscape_tools", "."))
    assert {line.partition(">")[0] for line in own["dependencies"]} == NEEDED
    assert set(own["dependencies"]) <= set(whole["dependencies"])  # the lowest versions stand once


def test_it_works_where_the_rest_cannot_be_imported() -> None:
    """Takes some seconds: a new Python imports torch."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {line.partition(">")[0].replace("-", "_").replace("markdown_it_py", "markdown_it") for line in whole}
    below = {"filelock", "jinja2", "pillow", "sympy", "tensorboard"}  # torch and matplotlib bring or look for these
    refused = names - NEEDED - below | {"crar_model", "crar_reports", "cli"}
    done = subprocess.run([sys.executable, "-c", ALONE.format(refused=refused)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "26"]
