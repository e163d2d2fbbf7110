"""Buffers that follow from the weights and from data: estimated again at any point, or replaced by those of the batch.

A layer's running statistics belong to the weights that it was trained with. At other weights they can be estimated: the data pass through
the network with each layer normalising by the batch, and what arrives at it is averaged over the batches. The vectors that
`parametrizations.spectral_norm` keeps of a weight are found again as its singular vectors.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from landscape_tools.points import BufferName, Point

STATISTICS, VECTORS = ("running_mean", "running_var", "num_batches_tracked"), ("_u", "_v")


def layers_of(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Layers with buffers that can be estimated: name -> names of these buffers in the module, counts of batches among them."""
    found: dict[str, tuple[str, ...]] = {}
    for layer, module in model.named_modules():
        names = STATISTICS if _runs(module) else VECTORS if _spectral(module) else ()
        if names:
            found[layer] = tuple(_named(layer, name) for name in names)
    return found


def by_batch(model: nn.Module) -> nn.Module:
    """The module, whose normalisation layers go by the batch from now on; it has no running statistics any more."""
    for module in model.modules():
        if isinstance(module, _NormBase) and _runs(module):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return model


def differentiable(model: nn.Module) -> nn.Module:
    """The module, whose layers from now on have derivatives in their running statistics, which PyTorch's kernel has not."""
    return _patched(model, _runs, _by_statistics)


def exact(model: nn.Module) -> nn.Module:
    """The module, whose weights under spectral norm are from now on divided by their largest singular value as it is."""
    return _patched(model, _spectral, lambda module, weight: weight / _singular(module, weight)[2])


def estimated(model: nn.Module, layers: Sequence[str], point: Point, batches: Sequence[Any]) -> dict[str, Tensor]:
    """Running means and unbiased variances at a point, each averaged over the batches, and singular vectors.

    Args:
        model: of :func:`by_batch` and :func:`exact`.
        layers: names of :func:`layers_of`.
        point: parameters and buffers of that module.
        batches: inputs, each as the module takes them.
    """
    met: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
    modules = {name: model.get_submodule(name) for name in layers}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, arguments: met[name].append(_seen(module, arguments[0]))

    hooks = [module.register_forward_pre_hook(look(name)) for name, module in modules.items()]
    try:
        for batch in batches:
            functional_call(model, dict(point), (batch,))
    finally:
        for handle in hooks:
            handle.remove()
    found: dict[str, Tensor] = {}
    for layer, pairs in met.items():
        for k, name in enumerate(VECTORS if _spectral(modules[layer]) else STATISTICS[:2]):
            if pairs:  # else the layer was not used
                found[BufferName(_named(layer, name))] = torch.stack([pair[k] for pair in pairs]).mean(0)
    return found


def _seen(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer keeps of an input."""
    if _spectral(module):
        u, v, _ = _singular(module, x)
        return u, v
    if isinstance(module, _InstanceNorm):
        axes = tuple(range(2, x.dim()))
        return x.mean(axes).mean(0), x.var(axes).mean(0)
    axes = (0, *range(2, x.dim()))
    return x.mean(axes), x.var(axes)


def _named(layer: str, name: str) -> str:
    return f"{layer}.{name}".removeprefix(".")


def _runs(module: nn.Module) -> bool:
    return isinstance(module, _NormBase) and module.running_mean is not None


def _spectral(module: nn.Module) -> bool:
    return isinstance(module, _SpectralNorm) and hasattr(module, "_u")


def _singular(module: Any, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Left and right singular vectors of the largest singular value, and that value."""
    left, values, right = torch.linalg.svd(module._reshape_weight_to_matrix(weight), full_matrices=False)
    return left[:, 0], right[0], values[0]


def _patched(model: nn.Module, which: Callable[[nn.Module], bool], forward: Callable[[Any, Tensor], Tensor]) -> nn.Module:
    for module in model.modules():
        if which(module):
            vars(module)["forward"] = types.MethodType(forward, module)
    return model


def _by_statistics(module: _NormBase, x: Tensor) -> Tensor:
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
