"""The one writer of a page: its figures and data, `results.json`, and the page itself last."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from crar_model.core.files import Plain, StrPath, as_read, write_atomically, write_bytes, write_json, write_text
from crar_model.core.ratio import ratio
from crar_model.core.words import plural
from crar_model.models.merit import definition
from crar_model.samples import as_given
from crar_reports.press.glossary import glossary, glossary_lines
from crar_reports.press.html import templates, write_html
from crar_reports.press.markdown import bullets, measured, number, share, table

PAGE, RESULTS = "report.md", "results.json"
DIGITS = 10
"""Significant digits of what a file of many models keeps: a term above its floor is the difference of two that share five of them."""
Content = Figure | xr.Dataset | str
Files = Mapping[str, Content]
"""What lies beside a page, by its name."""


def publish(
    folder: StrPath, template: str, values: Plain, results: Any = None, files: Files | None = None, *,
    short: bool = False, told: Callable[[str], object] = lambda name: None,
) -> Path:  # fmt: skip
    """Write files, then `results.json`, then `report.md` and `report.html` with the figures inside; each whole or not at all.

    Args:
        folder: made if missing; files of an earlier page are replaced.
        template: of `crar_reports/templates`.
        values: what it shows, by name.
        results: what `results.json` holds, plain data or a record, or what makes it once the files are written; None for no such file.
        files: figures, data and texts by name (:func:`write`), written in their order.
        short: numbers of `DIGITS` digits and no line breaks in `results.json`, as of many models.
        told: called with the name of each file before it is written.

    Returns:
        the path of `report.md`.

    Raises:
        jinja2.UndefinedError: when the template names a value that is not given.
        FileNotFoundError: when the page shows a figure that is not there.
        UserError: when a file cannot be written.
    """
    folder = Path(folder)
    for name, content in (files or {}).items():
        told(name)
        write(folder / name, content)
    told(RESULTS)
    results = results() if callable(results) else results
    if results is not None:
        write_json(folder / RESULTS, shortened(as_read(results)) if short else results, indent=None if short else 1)
    told(PAGE)
    environment = templates()
    environment.filters.update(number=number, measured=measured, share=share, as_given=as_given)
    words = {"bullets": bullets, "definition": definition, "plural": plural, "ratio": ratio, "table": table}
    page = environment.get_template(template).render(glossary=glossary, glossary_lines=glossary_lines, **words, **values)
    write_text(folder / PAGE, page)
    write_html(page, (folder / PAGE).with_suffix(".html"))
    return folder / PAGE


def write(path: StrPath, content: Content) -> None:
    """Write what lies beside a page, atomically: a text as it is, a dataset as compressed netCDF, a figure as SVG where the name says so, else as
    PNG with an 8-bit palette."""
    path, raw = Path(path), io.BytesIO()
    if isinstance(content, str):
        write_text(path, content)
    elif isinstance(content, xr.Dataset):
        encoded = content.to_netcdf(engine="h5netcdf", encoding={name: {"zlib": True} for name in content.data_vars})
        assert encoded is not None
        write_bytes(path, bytes(encoded))
    elif path.suffix == ".svg":
        with mpl.rc_context({"svg.hashsalt": "crar"}):
            content.savefig(raw, format="svg", bbox_inches="tight", pad_inches=0.05, metadata={"Date": None})
        write_bytes(path, raw.getvalue())
    else:
        image = rasterized(content).convert("RGB").quantize(colors=224, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        write_atomically(path, lambda stream: image.save(stream, format="PNG", optimize=True))


def rasterized(figure: Figure) -> Image.Image:
    """A figure as a page shows it, laid out and cut to what it holds."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=120, bbox_inches="tight", pad_inches=0.05, pil_kwargs={"compress_level": 1})
    return Image.open(raw)


def shortened(plain: Any) -> Any:
    """Plain data with numbers of `DIGITS` digits: a file of many models is kept with the report."""
    if isinstance(plain, dict):
        return {name: shortened(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [shortened(value) for value in plain]
    return float(f"{plain:.{DIGITS}g}") if isinstance(plain, float) else plain
