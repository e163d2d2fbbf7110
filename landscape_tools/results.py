"""What all results can do: short words on the console, a picture, labelled numbers, a file, an offline page."""

from __future__ import annotations

import base64
import html
import io
import tempfile
import webbrowser
from dataclasses import Field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from landscape_tools.files import written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px sans-serif;max-width:60em;margin:2em auto}}td{{padding:0 1em 0 0;vertical-align:top}}img{{max-width:100%}}</style>
<h1>{title}</h1>{content}
"""


class Kept:
    """A record with a short repr, which goes into a file and comes back."""

    kinds: ClassVar[dict[str, type[Any]]] = {}
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Kept.kinds[cls.__name__] = cls

    def __repr__(self) -> str:
        parts = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({parts})"

    def save(self, path: str | PathLike[str]) -> None:
        """Write the whole record, tensors included; :func:`load` reads it. A kill leaves the old file or the new one."""
        content = io.BytesIO()
        torch.save(_packed(self), content)
        written(Path(path), content.getvalue())


class Result(Kept):
    """A record with a picture."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw it into these Matplotlib axes, or new ones; gives the axes back."""
        raise NotImplementedError

    def to_dataset(self) -> xr.Dataset:
        """Its numbers by name; points and vectors are left out. `.to_netcdf()` keeps them."""
        raise NotImplementedError

    def to_html(self) -> str:
        """One page that needs nothing else: the picture and the numbers."""
        return page(self.plot(), self.to_dataset(), type(self).__name__)

    def show(self, path: str | PathLike[str] | None = None) -> Path:
        """Write :meth:`to_html` into a file and give its path; without a path into a new one, which a browser opens."""
        return shown(self.to_html(), path)


def load(path: str | PathLike[str]) -> Any:
    """A record that :meth:`Kept.save` wrote.

    Raises:
        ValueError: for a file that is none.
    """
    try:
        content = torch.load(path, weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} holds no result of landscape_tools; write one by its save()") from error
    if not (isinstance(content, dict) and content.get("kind") in Kept.kinds):
        raise ValueError(f"{path} holds no result of landscape_tools; write one by its save()")
    return _unpacked(content)


def new_axes(ax: Axes | None) -> Axes:
    """These axes, or those of a figure that no window shows."""
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    found: Axes = Figure(figsize=(6, 4), layout="constrained").subplots()
    return found


def beside(ax: Axes) -> None:
    """The legend of these axes above them, where it hides no line."""
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize="small")


def page(ax: Axes, data: xr.Dataset, title: str) -> str:
    """The figure of these axes and the attributes and extremes of a dataset, as one HTML page."""
    rows = [(str(name), _short(value)) for name, value in data.attrs.items()]
    rows += [
        (str(name), f"{float(v.min()):.6g} to {float(v.max()):.6g}")
        for name, v in data.data_vars.items()
        if v.size and v.dtype.kind in "fiu"
    ]
    table = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in rows)
    return page_of(title, f"{picture(ax, title)}<table>{table}</table>")


def page_of(title: str, content: str) -> str:
    """One HTML page of this content."""
    return PAGE.format(title=html.escape(title), content=content)


def picture(ax: Axes, title: str) -> str:
    """The figure of these axes as a part of a page, which holds it."""
    drawn = io.BytesIO()
    ax.figure.canvas.print_figure(drawn, format="png", dpi=120)
    return f'<img alt="{html.escape(title)}" src="data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}">'


def shown(text: str, path: str | PathLike[str] | None) -> Path:
    """Write a page into a file, or a new one, which a browser opens."""
    place = Path(tempfile.mkdtemp(prefix="landscape-")) / "result.html" if path is None else Path(path)
    written(place, text.encode())
    if path is None:
        webbrowser.open(place.as_uri())
    return place


def _short(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    if isinstance(value, (Tensor, np.ndarray)):
        numbers = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        return (
            f"[{', '.join(f'{number:.4g}' for number in numbers.flat)}]"
            if numbers.size <= 3
            else f"{'x'.join(map(str, numbers.shape))} numbers"
        )
    if isinstance(value, dict):
        return f"{len(value)} tensors"
    return type(value).__name__ + "(...)" if isinstance(value, Kept) else str(value)


def _packed(value: Any) -> Any:
    """A value of plain data and tensors alone."""
    if isinstance(value, Kept):
        return {"kind": type(value).__name__, "fields": {field.name: _packed(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, np.ndarray):
        return {"kind": "array", "values": torch.from_numpy(np.array(value, order="C"))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"kind": "dict", "values": list(value.values()), "names": list(value)}
    return value


def _unpacked(value: Any) -> Any:
    kind = value["kind"] if isinstance(value, dict) else None
    if kind == "array":
        return value["values"].numpy()
    if kind == "dict":
        return dict(zip(value["names"], value["values"], strict=True))
    return value if kind is None else Kept.kinds[kind](**{name: _unpacked(part) for name, part in value["fields"].items()})
