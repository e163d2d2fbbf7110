"""`crar explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import crar_reports
from crar_reports.commands.app import app
from crar_reports.commands.command import Command
from crar_reports.commands.flags import RUN, named, with_flags

MODELS = "Models"


@app.command(
    cls=Command,
    epilog="Example:\n  crar explain a.pt b.pt --model nets:make --data nets:batches --out ab.html\n\n"
    "where nets.py lies in this folder, make() gives the module, and batches() gives\ninputs and targets, a DataLoader or a Dataset.",
)
@with_flags()
def explain(
    first: Annotated[Path, typer.Argument(metavar="FIRST", exists=True, help="State of the first model, *.pt.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="SECOND", exists=True, help="State of the second model.", show_default=False)],
    model: Annotated[str, named(metavar="MODULE:NAME", help="Function that makes the module.", shown=False, panel=MODELS)],
    data: Annotated[str, named(metavar="MODULE:NAME", help="Data, or a function that gives them.", shown=False, panel=MODELS)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page, *.html.", show_default=False, rich_help_panel=RUN)],
    criterion: Annotated[str, named(metavar="MODULE:NAME", help="Function of outputs and targets.", shown="by the targets", panel=MODELS)] = "",
    evaluations: Annotated[int, typer.Option(metavar="N", min=1, help="Most evaluations of the plane.", rich_help_panel=RUN)] = 250,
    force: Annotated[bool, typer.Option("--force", help="Write over an --out that is there.", rich_help_panel=RUN)] = False,
) -> None:  # fmt: skip
    """Explain what lies between two PyTorch models of your own.

    Lines, the line to the aligned copy, a curve around, both spectra and certificates, a plane with an error bar and what it does not show; on one page.
    """
    found = crar_reports.explain(first, second, model=model, data=data, out=out, criterion=criterion, evaluations=evaluations, force=force)
    print("\n".join(found.lines()))
    print(f"{out}: all of it as one page")
