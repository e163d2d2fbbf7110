"""The `crar` command: parses, calls, prints. No science here, and no PyTorch before a command needs it."""

import sys

try:
    from crar_reports.commands import curing, escaping, explaining, gathering, judging, pages, predicting, studying, training
    from crar_reports.commands.app import app, main
except KeyboardInterrupt:  # Ctrl-C while it loads ends as one later does
    print("crar: stopped", file=sys.stderr)
    sys.exit(130)

__all__ = ["app", "curing", "escaping", "explaining", "gathering", "judging", "main", "pages", "predicting", "studying", "training"]
