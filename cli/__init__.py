"""The `crar` command: parses, calls, prints. No science here, and no PyTorch before a command needs it."""

from cli import judging, pages, training
from cli.app import app, main

__all__ = ["app", "judging", "main", "pages", "training"]
