"""What `mkdocs.yml` builds the site from: the repository's pages at their own places, so that their links hold, and three kinds that are made.

Made are a page of all published figures with their captions, a page of the interface of each package, and an index of a folder that a page links to.
A link to a file that is no page takes that file along; a link that leads nowhere is a warning, which `strict` turns into an error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "reports" / "published"
ASSETS = ("docs/iframe-worker.js", "docs/site.css")
"""What lets the search work where the site is opened from the disk, and the style."""
PACKAGES = ("crar_model", "crar_reports", "landscape_tools")
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#:\s]+)(#[^)]*)?\)")
FIGURE = re.compile(r"^!\[(.*)\]\((.*)\)\n\n\*Figure: ((?:.|\n)*?)\*$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Every page of the site as Markdown, by its place."""
    written = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    written += [*ROOT.glob("docs/*.md"), *PUBLISHED.glob("**/*.md"), *ROOT.glob("benchmarks/results/*.md")]
    found = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(written)}
    found |= {"figures.md": figures(), **{f"api/{package}.md": interface(package) for package in PACKAGES}}
    folders = {place for name, text in found.items() for place in targets(name, text) if (ROOT / place).is_dir()}
    found |= {f"{folder}/index.md": index(ROOT / folder) for folder in sorted(folders)}
    return {name: LINK.sub(lambda link, name=name: to_index(name, link), text) for name, text in found.items()}


def targets(page: str, text: str) -> Iterator[str]:
    """Places in the repository that a page links to."""
    for _, target, _ in LINK.findall(text):
        yield normpath((PurePosixPath(page).parent / target).as_posix())


def to_index(page: str, link: re.Match[str]) -> str:
    """A link; one to a folder leads to its index."""
    place = ROOT / normpath((PurePosixPath(page).parent / link[2]).as_posix())
    return f"{link[1]}({link[2]}/index.md)" if place.is_dir() else link[0]


def figures() -> str:
    """Every published figure with its caption, and the page that it is of."""
    parts = ["# Figures", "Every figure of the published reports; the title leads to the page that explains it."]
    for path in sorted(PUBLISHED.glob("**/report.md")):
        text, folder = path.read_text(encoding="utf-8"), path.parent.relative_to(ROOT).as_posix()
        for number, (shown, name, caption) in enumerate(FIGURE.findall(text)):
            title = text.split("\n", 1)[0].removeprefix("# ")
            parts += [f"## [{title}]({folder}/report.md)"] * (number == 0) + [f"![{shown}]({folder}/{name})", caption]
    return "\n\n".join(parts)


def interface(package: str) -> str:
    """The public names of a package as its `__init__` gives them, for mkdocstrings, and its other modules in a line each."""
    source = ROOT / package / "__init__.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }
    modules = []
    for path in sorted((ROOT / package).rglob("*.py")):
        about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")
        if path.name != "__init__.py" and about:
            modules.append(f"| `{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}` | {about.replace('|', '&#124;')} |")
    shown = "\n\n".join(f"::: {path}" for _, path in sorted(names.items()))
    return f"# {package}\n\n{ast.get_docstring(tree)}\n\n{shown}\n\n## Modules\n\n| module | what it does |\n|---|---|\n" + "\n".join(
        modules
    )


def index(folder: Path) -> str:
    """The files of a folder with the lines that each begins with."""
    rows = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        head = re.findall(r"^# ?([^!\n].*)", path.read_text(encoding="utf-8"), re.MULTILINE)[:3]
        rows.append(f"| [{path.name}]({path.name}) | {' '.join(head).replace('|', '&#124;')} |")
    return f"# {folder.name.capitalize()}\n\n| file | begins with |\n|---|---|\n" + "\n".join(rows)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The published reports in the navigation, the folder's own page first."""
    reports = sorted(path.relative_to(ROOT).as_posix() for path in PUBLISHED.glob("**/report.md"))
    assert config.nav is not None
    config.nav.append(
        {"Published": ["reports/published/README.md", *({name.split("/", 2)[2].removesuffix("/report.md"): name} for name in reports)]}
    )
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages, and what they show and link to."""
    for file in [file for file in files if (file.abs_src_path or "").startswith(str(ROOT / "docs"))]:
        files.remove(file)
    made = pages()
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    linked = {place for name, text in made.items() for place in (*ASSETS, *targets(name, text))} - set(made)
    for place in sorted(place for place in linked if (ROOT / place).is_file()):
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """A page; roles of docstrings such as `:func:` are left out before the name that they are of."""
    return re.sub(r":(?:func|class|meth|data|mod|attr):(?=<code>)", "", html)
