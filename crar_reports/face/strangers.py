"""`crar_reports.explain`: two models of your own, loaded by name, in the landscape of your own loss."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crar_model.core.errors import UserError
from crar_model.core.files import StrPath
from crar_model.core.fresh import fresh

if TYPE_CHECKING:
    from torch import nn

    from landscape_tools import Explanation


def explain(
    first: StrPath,
    second: StrPath,
    *,
    model: str,
    data: str,
    out: StrPath,
    criterion: str = "",
    evaluations: int = 250,
    force: bool = False,
    told: Callable[[str], None] | None = None,
) -> Explanation:
    """Explain what lies between two trained models, as `crar explain` does, and write it as one page.

    Args:
        first, second: files of `torch.save(model.state_dict(), ...)`.
        model: "package.module:name" of a function that makes the module.
        data: "package.module:name" of (inputs, targets), a `DataLoader`, a `Dataset` or a list of batches, or of a function that gives one.
        out: the page, *.html.
        criterion: "package.module:name" of a function of outputs and targets; by default as `landscape_tools.explain` chooses.
        evaluations: most of the plane.
        force: write over a file that is there.
        told: called with what is done next, in words.

    Raises:
        UserError: for what cannot be imported, loaded or put together.
    """
    if Path(out).suffix != ".html":
        raise UserError(f"--out is {out}; give a file that ends in .html")
    fresh(out, force=force)
    made, given = _named("--model", model), _named("--data", data)
    measured_by = _named("--criterion", criterion) if criterion else None
    import landscape_tools as lt

    one, two = (_loaded(_called("--model", made), Path(path)) for path in (first, second))
    batches = (
        _called("--data", given) if callable(given) and not hasattr(given, "__getitem__") and not hasattr(given, "__iter__") else given
    )
    try:
        found = lt.explain(one, two, batches, criterion=measured_by, told=told, evaluations=evaluations)
    except (ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"--model {model} and --data {data}: {error}") from error
    found.show(out)
    return found


def _named(flag: str, text: str) -> Any:
    """What "package.module:name" names; modules are looked for where the command is called, too."""
    module, _, name = text.partition(":")
    if not (module and name):
        raise UserError(f"{flag} is {text!r}; give package.module:name")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{flag} is {text}, and {module} cannot be imported ({error}); call crar where its folder is, or set PYTHONPATH"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UserError(f"{flag} is {text}, and {module} has no {name}")
        found = getattr(found, part)
    return found


def _called(flag: str, maker: Any) -> Any:
    try:
        return maker()
    except Exception as error:
        raise UserError(
            f"{flag}: {getattr(maker, '__name__', maker)}() ends in {type(error).__name__} ({error}); it takes no arguments"
        ) from error


def _loaded(network: Any, path: Path) -> nn.Module:
    import torch

    if not isinstance(network, torch.nn.Module):
        raise UserError(f"--model makes {type(network).__name__}; it must make a torch.nn.Module")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: cannot be read as a file of tensors; write one by torch.save(model.state_dict(), ...)") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is no state of what --model makes: {' '.join(str(error).split())[:200]}") from error
    loaded: nn.Module = network
    return loaded
