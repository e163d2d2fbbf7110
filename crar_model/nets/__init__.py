"""Networks as pure functions of parameters, and their optimiser: the one door to all compiled code.

What comes in is checked here before an address is passed on: dtype, device, shapes, member axes, strides. What does not fit is a TypeError
or a ValueError of one line that names the tensor. Modules with an underscore are compiled and trust what they are given.
"""

from crar_model.nets._arithmetic import get_arithmetic, set_arithmetic, tiles_lacking
from crar_model.nets._first import Observed
from crar_model.nets._threads import get_threads, set_threads
from crar_model.nets._tile_index import TileIndex, index_tiles
from crar_model.nets.conv import convolve
from crar_model.nets.conv_updates import BoardTransitions, boards_fit, update_boards
from crar_model.nets.dense import dense, dense_jacobian, fast_tanh
from crar_model.nets.kernels import CONV_STEPS, CONV_UPDATES, DENSE_STEPS, DENSE_UPDATES, IMAGE_STEPS
from crar_model.nets.layers import Conv, Layers, Linear, glorot_conv, glorot_dense
from crar_model.nets.rmsprop import RMSpropSettings, rmsprop_step
from crar_model.nets.tiles import STEM, encode_tiles
from crar_model.nets.totals import EMBEDDING, Totals, TotalTables
from crar_model.nets.updates import MemberState, Transitions, UpdateTables, ready_for, update_members

__all__ = [
    "CONV_STEPS",
    "CONV_UPDATES",
    "DENSE_STEPS",
    "DENSE_UPDATES",
    "EMBEDDING",
    "IMAGE_STEPS",
    "STEM",
    "BoardTransitions",
    "Conv",
    "Layers",
    "Linear",
    "MemberState",
    "Observed",
    "RMSpropSettings",
    "TileIndex",
    "TotalTables",
    "Totals",
    "Transitions",
    "UpdateTables",
    "boards_fit",
    "convolve",
    "dense",
    "dense_jacobian",
    "encode_tiles",
    "fast_tanh",
    "get_arithmetic",
    "get_threads",
    "glorot_conv",
    "glorot_dense",
    "index_tiles",
    "ready_for",
    "rmsprop_step",
    "set_arithmetic",
    "set_threads",
    "tiles_lacking",
    "update_boards",
    "update_members",
]
