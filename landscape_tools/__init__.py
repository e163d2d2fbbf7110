"""Loss landscapes of any pure `loss(point)` of named tensors, the point a dict: lines, planes, paths, certificates.

A loss is a function of one point, a batched function of many, or a module with data (:func:`module_loss`); :class:`Composite` is for losses
with kinks or of few outputs. :func:`state_of` gives a module's point, its buffers included.
"""

from landscape_tools.adaptive import Adaptive, AdaptivePlane, adaptive_plane
from landscape_tools.alignment import HiddenLayer, align, apply_symmetry, dense_chain
from landscape_tools.atlases import Atlas, Charting, atlas
from landscape_tools.blindness import Blindness, plane_misses
from landscape_tools.certificates import FLAT, MINIMUM, NOT_CONVERGED, SADDLE, UNDECIDED, Certificate, Signature, certify
from landscape_tools.composite import Composite, composite_of, jacobian_of
from landscape_tools.connections import Connection, connect
from landscape_tools.convergence import NEWTON_LIMIT, Converged, converge
from landscape_tools.curvature import Spectrum, extreme_eigenvalues
from landscape_tools.curves import Curve, bezier_path
from landscape_tools.directions import TrajectoryPlane, filter_normalised, gaussian_direction, random_axes, trajectory_plane
from landscape_tools.evaluating import Loss, ScalarLoss, Vectorize, values_of
from landscape_tools.explaining import Explaining, chain_of, explain
from landscape_tools.explanations import Explanation
from landscape_tools.finite import climb, lowest, rank
from landscape_tools.flatness import Flattest, least_curved
from landscape_tools.lifting import Lifted, lift
from landscape_tools.lines import Barrier, barrier, sample_line
from landscape_tools.modules import ModuleLoss, module_loss
from landscape_tools.options import thread_safe
from landscape_tools.paths import Band, elastic_band
from landscape_tools.pictures import plot, show, to_html
from landscape_tools.planes import sample_plane, sample_product, three_point_axes
from landscape_tools.points import (
    BufferName,
    HeldName,
    Point,
    check_alike,
    difference,
    dot,
    flatten,
    moved,
    norm,
    restrict,
    rows_of,
    trainable,
    unflatten,
)
from landscape_tools.polygons import Path, sample_polygon
from landscape_tools.products import gauss_newton_product, hessian_operator, hessian_product
from landscape_tools.results import Kept, Result, load
from landscape_tools.sampled import (
    Descended,
    Ends,
    descend,
    difference_product,
    expected_gain,
    spectrum_ends,
    verdict_on_both,
    verdict_on_sample,
)
from landscape_tools.sampling import Sampling, sample_points
from landscape_tools.spectra import Curvature, Spectral, spectrum
from landscape_tools.states import parameters_of, state_of
from landscape_tools.stores import Progress
from landscape_tools.streams import DataLoss, data_loss
from landscape_tools.subgradients import Subgradient, smallest_subgradient
from landscape_tools.trajectories import sample_trajectory
from landscape_tools.valleys import Topology, topology

__all__ = [
    "FLAT",
    "MINIMUM",
    "NEWTON_LIMIT",
    "NOT_CONVERGED",
    "SADDLE",
    "UNDECIDED",
    "Adaptive",
    "AdaptivePlane",
    "Atlas",
    "Band",
    "Barrier",
    "Blindness",
    "BufferName",
    "Certificate",
    "Charting",
    "Composite",
    "Connection",
    "Converged",
    "Curvature",
    "Curve",
    "DataLoss",
    "Descended",
    "Ends",
    "Explaining",
    "Explanation",
    "Flattest",
    "HeldName",
    "HiddenLayer",
    "Kept",
    "Lifted",
    "Loss",
    "ModuleLoss",
    "Path",
    "Point",
    "Progress",
    "Result",
    "Sampling",
    "ScalarLoss",
    "Signature",
    "Spectral",
    "Spectrum",
    "Subgradient",
    "Topology",
    "TrajectoryPlane",
    "Vectorize",
    "adaptive_plane",
    "align",
    "apply_symmetry",
    "atlas",
    "barrier",
    "bezier_path",
    "certify",
    "chain_of",
    "check_alike",
    "climb",
    "composite_of",
    "connect",
    "converge",
    "data_loss",
    "dense_chain",
    "descend",
    "difference",
    "difference_product",
    "dot",
    "elastic_band",
    "expected_gain",
    "explain",
    "extreme_eigenvalues",
    "filter_normalised",
    "flatten",
    "gauss_newton_product",
    "gaussian_direction",
    "hessian_operator",
    "hessian_product",
    "jacobian_of",
    "least_curved",
    "lift",
    "load",
    "lowest",
    "module_loss",
    "moved",
    "norm",
    "parameters_of",
    "plane_misses",
    "plot",
    "random_axes",
    "rank",
    "restrict",
    "rows_of",
    "sample_line",
    "sample_plane",
    "sample_points",
    "sample_polygon",
    "sample_product",
    "sample_trajectory",
    "show",
    "smallest_subgradient",
    "spectrum",
    "spectrum_ends",
    "state_of",
    "thread_safe",
    "three_point_axes",
    "to_html",
    "topology",
    "trainable",
    "trajectory_plane",
    "unflatten",
    "values_of",
    "verdict_on_both",
    "verdict_on_sample",
]  # fmt: skip
