"""The `crar` command: parses, calls, prints. No science here, and no PyTorch before a command needs it."""

from commands import curing, escaping, judging, pages, predicting, studying, training
from commands.app import app, main

__all__ = ["app", "curing", "escaping", "judging", "main", "pages", "predicting", "studying", "training"]

if __name__ == "__main__":
    main()
