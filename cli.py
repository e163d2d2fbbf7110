"""The `crar` command in a checkout: `python cli.py`. The installed command enters by the same door."""

from crar_reports.commands.door import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
