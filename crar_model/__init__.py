"""The CRAR agent: mazes, networks, losses, planning, training, transfer, checkpoints.

Importing it registers the environments with Gymnasium. The functions below are the commands of the same names; PyTorch is loaded by the first call.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from crar_model.core.version import __version__ as __version__
from crar_model.mazes.registration import register as _register

if TYPE_CHECKING:
    from crar_model import samples as samples
    from crar_model.face.curing import Cured as Cured
    from crar_model.face.curing import cure as cure
    from crar_model.face.gathering import gather as gather
    from crar_model.face.judging import Evaluated as Evaluated
    from crar_model.face.judging import evaluate as evaluate
    from crar_model.face.judging import import_network as import_network
    from crar_model.face.judging import load as load
    from crar_model.face.run import Run as Run
    from crar_model.face.training import train as train
    from crar_model.face.training import transfer as transfer
    from crar_model.face.worlds import gather_world as gather_world
    from crar_model.tasks.check import check_task as check_task

# MKL otherwise picks instructions by the alignment of its arguments, and a member's trajectory would depend on
# its place in the batch. Read at MKL's first call, so it is set before PyTorch makes one; measured cost: none.
os.environ.setdefault("MKL_CBWR", "AUTO")

_FACE = {
    "face.training": ("train", "transfer"),
    "face.gathering": ("gather",),
    "face.judging": ("evaluate", "Evaluated", "load", "import_network"),
    "face.worlds": ("gather_world",),
    "face.curing": ("cure", "Cured"),
    "face.run": ("Run",),
    "tasks.check": ("check_task",),
}
"""Module -> names that it gives to users."""
_MODULE_OF = {name: module for module, names in _FACE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"crar_model.{_MODULE_OF[name]}"), name)
    if name == "samples":
        return importlib.import_module("crar_model.samples")
    raise AttributeError(f"module 'crar_model' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF, "samples"])


_register()
