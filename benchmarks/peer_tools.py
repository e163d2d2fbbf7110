"""Which tools of `benchmarks.peers` do which work, and what is installed for each."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import peer_curvatures as curvatures
from benchmarks import peer_planes as planes

OURS, PLAIN = "landscape_tools", "plain loop"
TASKS: dict[str, dict[str, Callable[[str, int], planes.Work]]] = {
    "plane": {
        PLAIN: planes.plain, OURS: planes.ours, "loss-landscapes": planes.loss_landscapes, "landscaper": planes.landscaper, "loss-landscape-3d": planes.loss_landscape_3d,
    },
    "products": {
        OURS: curvatures.ours_products, "hessian-eigenthings": curvatures.eigenthings_products, "pyhessian": curvatures.pyhessian_products, "curvlinops": curvatures.curvlinops_products,
    },
    "ends": {OURS: curvatures.ours_ends, "hessian-eigenthings": curvatures.eigenthings_ends, "pyhessian": curvatures.pyhessian_ends, "curvlinops": curvatures.curvlinops_ends},
    "trace": {OURS: curvatures.ours_trace, "hessian-eigenthings": curvatures.eigenthings_trace, "pyhessian": curvatures.pyhessian_trace, "curvlinops": curvatures.curvlinops_trace},
    "connection": {PLAIN: planes.plain_connection, OURS: planes.ours_connection},
}  # fmt: skip
"""Task -> tool -> the work; the first tool of a task is what the others are measured by."""
PINNED = {
    "loss-landscapes": ("loss-landscapes==3.0.6",),
    "landscaper": (
        "landscaper==1.3.1", "gudhi==3.13.0", "topopy==1.0.4", "nglpy==1.1.7", "treelib==1.8.0", "coloraide==8.13.1", "drawsvg==2.4.2",
        "scikit-learn==1.9.1", "joblib==1.6.0", "threadpoolctl==3.8.0", "tqdm==4.70.1",
    ),
    "loss-landscape-3d": ("loss-landscape-3d==0.1.3",),
    "hessian-eigenthings": ("hessian-eigenthings==1.0.0a5", "tqdm==4.70.1"),
    "pyhessian": ("pyhessian==0.1",),
    "curvlinops": (
        "curvlinops-for-pytorch==3.0.1", "backpack-for-pytorch==1.7.1", "einops==0.8.2", "einconv==0.1.0", "linear_operator==0.6.1",
        "opt-einsum==3.4.0", "jaxtyping==0.3.11", "wadler-lindig==0.1.8", "tqdm==4.70.1",
    ),
}  # fmt: skip
"""Peer -> what is installed for it, without what that asks for: PyTorch, NumPy and SciPy are this environment's, the same for all."""
