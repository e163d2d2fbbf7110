"""`crar` itself: its help, its version, and how a command's errors end."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import warnings
from typing import Annotated, Any, cast

import typer
from typer.exceptions import TyperException

from crar_model import __version__
from crar_model.core.errors import UnverifiedFileWarning, UserError
from crar_reports.commands.command import Command, Group

GONE = 141
"""Exit code where whoever read standard output has gone, as of a command that the shell ends by SIGPIPE."""
app = typer.Typer(
    name="crar",
    cls=Group,
    help="Why does a representation transfer end in a bad local minimum, and what gets it out?\n\n"
    "Train CRAR agents (train), transfer them to the inverse maze (transfer), judge the outcome (evaluate), "
    "and see what lies between a failed encoder and the global optimum (landscape).",
    epilog="First minute, no training:  crar landscape --quick --out first-look\n"
    "Flags of a command:         crar COMMAND --help\n"
    "Tab completion:             crar --install-completion, then a new shell",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def crar(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Print the version, or the help where nothing is asked."""
    if version:
        print_version()
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command("version", cls=Command)
def print_version() -> None:
    """Print the version."""
    print(f"crar {__version__}")


def command_line() -> str:
    """The command as the user could type it again, for reports."""
    return shlex.join(["crar", *sys.argv[1:]])


def show_warnings() -> None:
    """Have a warning about a file printed as one line, once; other warnings as Python prints them."""
    usual, told = warnings.showwarning, set[str]()

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        if not issubclass(category, UnverifiedFileWarning):
            usual(message, category, filename, lineno, file, line)
        elif str(message) not in told:
            told.add(str(message))
            print(f"crar: warning: {message}", file=sys.stderr)

    warnings.showwarning = show


class Forgiving:
    """Standard error that may be full or gone: what cannot be told is left untold, and the work goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, if that can be."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def failed(error: OSError) -> int:
    """Tell of a file, or of standard output, that cannot be used; the exit code."""
    with contextlib.suppress(OSError, ValueError):  # what standard output still holds has no reader or no room
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return GONE
    where = f"{error.filename}: " if error.filename else ""
    print(f"crar: error: {where}cannot read or write ({error.strerror or error}); free some space or choose another place", file=sys.stderr)
    return 2


def main() -> None:
    """Entry point: bad input ends in one line on standard error and exit code 2, Ctrl-C in 130, a reader that has gone in 141."""
    show_warnings()
    with contextlib.redirect_stderr(cast(Any, Forgiving(sys.stderr))):
        code = run()
        try:
            sys.stdout.flush()
        except OSError as error:
            code = failed(error)
        sys.exit(code)


def run() -> int:
    """Run the command that is typed; the exit code."""
    try:
        code = app(prog_name="crar", standalone_mode=False)
    except OSError as error:
        return failed(error)
    except UserError as error:
        print("crar: error:", "\\n".join(str(error).splitlines()), file=sys.stderr)  # a name may hold line breaks
        return 2
    except TyperException as error:
        context = getattr(error, "ctx", None)
        message = " ".join(str(error.format_message()).split())
        print(f"crar: error: {message} (see {context.command_path if context else 'crar'} --help)", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("crar: stopped", file=sys.stderr)
        return 130
    except typer.Exit as stop:
        code = stop.exit_code
    return code if isinstance(code, int) else 0
