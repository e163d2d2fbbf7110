"""The pages and commands: what they measure, decide, draw and write.

The functions below make the pages of the commands of the same names, and return them as a :class:`Page`; PyTorch is loaded by the first call.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crar_reports.face.failures import cure as cure
    from crar_reports.face.failures import escape as escape
    from crar_reports.face.outlooks import compare as compare
    from crar_reports.face.outlooks import maps as maps
    from crar_reports.face.outlooks import predict as predict
    from crar_reports.face.page import Page as Page
    from crar_reports.face.pairs import TERMS as TERMS
    from crar_reports.face.pairs import landscape as landscape
    from crar_reports.face.pairs import theorem as theorem
    from crar_reports.face.runs import decide_claims as decide_claims
    from crar_reports.face.runs import demo as demo
    from crar_reports.face.runs import play as play
    from crar_reports.face.runs import report as report
    from crar_reports.face.runs import trajectory as trajectory
    from crar_reports.face.strangers import explain as explain
    from crar_reports.face.studies import estimate_study as estimate_study
    from crar_reports.face.studies import study as study
    from crar_reports.face.studies import verdicts as verdicts

_FACE = {
    "face.page": ("Page",),
    "face.pairs": ("TERMS", "landscape", "theorem"),
    "face.runs": ("decide_claims", "trajectory", "report", "demo", "play"),
    "face.failures": ("cure", "escape"),
    "face.outlooks": ("predict", "maps", "compare"),
    "face.strangers": ("explain",),
    "face.studies": ("study", "estimate_study", "verdicts"),
}
"""Module -> names that it gives to users; `claims` alone has another name, for the room `crar_reports.claims` has that one."""
_MODULE_OF = {name: module for module, names in _FACE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'crar_reports' has no attribute {name!r}")
    return getattr(importlib.import_module(f"crar_reports.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
