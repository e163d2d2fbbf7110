"""The one error that a user's input can cause."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: one line that names the file or flag and says what to do. The command line exits with 2."""
