"""Derivatives where PyTorch's fast kernels have none: its plain attention is used, and what is left is said in one line."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_LOCK = threading.Lock()
_HELD: list[ExitStack] = []
"""One entry for each block at work; the first holds the settings, which are of the whole process."""

_ABSENT = re.compile(r"derivative for '?(?:aten::)?([\w.]+)'? is not implemented")
_ADVICE = (
    (re.compile(r"sparse", re.IGNORECASE), "the loss has sparse gradients, which no tool here takes; build its embeddings with sparse=False"),
    (re.compile(r"setup_context"), "a torch.autograd.Function of the loss has no setup_context, which torch.func needs; give it one"),
    (re.compile(r"cudnn RNN", re.IGNORECASE), "CuDNN has no such derivative of a recurrent layer; call within torch.backends.cudnn.flags(enabled=False)"),
)  # fmt: skip
_INSTEAD = {"ctc": "CTC has first derivatives only", "embedding_bag": "an Embedding and a sum over its rows has it"}


@contextmanager
def math_kernels() -> Iterator[None]:
    """Within it attention runs in PyTorch's math kernel, which vmap maps and which can be differentiated twice, and vmap does not warn of
    operations that it takes one by one. Blocks of several threads may overlap: the settings return when the last one ends."""
    with _LOCK:
        stack = ExitStack()
        if not _HELD:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
            torch.backends.mha.set_fastpath_enabled(False)
            quiet = getattr(torch._C._functorch, "_set_vmap_fallback_warning_enabled", None)
            if quiet is not None:
                stack.callback(quiet, True)
                quiet(False)
        _HELD.append(stack)
    try:
        yield
    finally:
        with _LOCK:
            _HELD.pop().close()  # the last one in the list, so the settings of the first stay till the end


@contextmanager
def differentiated() -> Iterator[None]:
    """:func:`math_kernels`, with one line for what PyTorch cannot differentiate; derivatives are on, whatever the caller turned off.

    Raises:
        ValueError: within it, for a derivative that PyTorch does not have, or a sparse one.
    """
    with math_kernels(), torch.inference_mode(False), torch.enable_grad():
        try:
            yield
        except RuntimeError as error:
            advice = _advice(str(error))
            if advice is None:
                raise
            raise ValueError(advice) from error


def sloped_lightly(work: Callable[[], Tensor]) -> Tensor:
    """A value with the graph that it was made by, and without what derivatives would need: that is several times the memory."""

    def refuse(_: object) -> Tensor:
        raise RuntimeError("nothing was kept")

    with torch.inference_mode(False), torch.enable_grad():
        try:
            with torch.autograd.graph.saved_tensors_hooks(lambda _: None, refuse):
                return work()
        except Exception:  # it takes derivatives of its own
            return work()


def _advice(message: str) -> str | None:
    absent = _ABSENT.search(message)
    if absent is not None:
        known = [f": {words}" for part, words in _INSTEAD.items() if part in absent[1]]
        rest = "".join(known) or "; write that part of the loss with other operations"
        return (
            f"PyTorch has no derivative of {absent[1]}, which this needs{rest}; elastic_band, bezier_path and descend need first ones only"
        )
    return next((advice for pattern, advice in _ADVICE if pattern.search(message)), None)
