"""What a user's input can cause: the one error, and a warning."""

from __future__ import annotations


class UserError(Exception):
    """Bad input: one line that names the file or flag and says what to do. The command line exits with 2."""

    def __str__(self) -> str:
        """The line; one, whatever the names in it are."""
        return " ".join(super().__str__().splitlines())


class UnverifiedFileWarning(UserWarning):
    """A file from before digests was read: it is taken as it is. The command line prints it as one line."""
