"""The CRAR agent: mazes, networks, losses, planning, training, transfer, checkpoints.

Importing it registers the environments with Gymnasium.
"""

import os

from crar_model.core.version import __version__ as __version__
from crar_model.mazes.registration import register as _register

# MKL otherwise picks instructions by the alignment of its arguments, and a member's trajectory would depend on
# its place in the batch. Read at MKL's first call, so it is set before PyTorch makes one; measured cost: none.
os.environ.setdefault("MKL_CBWR", "AUTO")


_register()
