"""Normalisation layers that take the statistics of the batch before them, and running statistics estimated again from data.

A layer's running statistics belong to the weights that it was trained with. At other weights they can be estimated: the data pass through
the network with each layer normalising by the batch, and what arrives at it is averaged over the batches.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from landscape_tools.points import BufferName, Point

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def statistics_of(model: nn.Module) -> list[str]:
    """Names of the running statistics that can be estimated, the counts of batches among them."""
    owners = [name for name, module in model.named_modules() if isinstance(module, _NormBase) and module.running_mean is not None]
    return [f"{owner}.{name}".lstrip(".") for owner in owners for name in STATISTICS]


def differentiable(model: nn.Module) -> nn.Module:
    """The module, whose layers from now on have derivatives in their running statistics, which PyTorch's kernel has not."""
    for module in model.modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            vars(module)["forward"] = types.MethodType(_forward, module)
    return model


def _forward(module: _NormBase, x: Tensor) -> Tensor:
    if not torch.is_grad_enabled():
        result: Tensor = type(module).forward(module, x)
        return result
    assert module.running_mean is not None
    assert module.running_var is not None
    shape = [-1, *([1] * (x.dim() - 2))]
    scale = (module.running_var + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight
    result = (x - module.running_mean.view(shape)) * scale.view(shape)
    return result + module.bias.view(shape) if module.affine else result


def by_batch(model: nn.Module) -> nn.Module:
    """The module, whose normalisation layers go by the batch from now on; it has no running statistics any more."""
    for module in model.modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return model


def estimated(model: nn.Module, layers: Sequence[str], point: Point, batches: Sequence[Any]) -> dict[str, Tensor]:
    """Running means and unbiased variances at a point, each averaged over the batches.

    Args:
        model: of :func:`by_batch`.
        layers: names of its normalisation layers.
        point: parameters and buffers of that module.
        batches: inputs, each as the module takes them.
    """
    met: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def look(name: str) -> Any:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            (x,) = arguments
            if isinstance(module, _InstanceNorm):
                axes = tuple(range(2, x.dim()))
                met[name].append((x.mean(axes).mean(0), x.var(axes).mean(0)))
            else:
                axes = (0, *range(2, x.dim()))
                met[name].append((x.mean(axes), x.var(axes)))

        return hook

    hooks = [model.get_submodule(name).register_forward_pre_hook(look(name)) for name in layers]
    try:
        for batch in batches:
            functional_call(model, dict(point), (batch,))
    finally:
        for handle in hooks:
            handle.remove()
    found: dict[str, Tensor] = {}
    for name, seen in met.items():
        for k, statistic in enumerate(STATISTICS[:2] if seen else ()):
            found[BufferName(f"{name}.{statistic}".lstrip("."))] = torch.stack([pair[k] for pair in seen]).mean(0)
    return found
