"""The commands: what a user types becomes settings, the work is done elsewhere, its errors become exit codes.

Exit codes: 0 fine, 1 problems found, 2 cannot be done as asked. Tables and colours are for terminals (text.py); a pipe
gets plain text. Heavy imports stand inside the commands, so that `--help` and completion answer at once.
"""

import sys
from typing import Annotated, Any

import typer

from fastroute import __version__
from fastroute.errors import FastrouteError
from fastroute.options import SERVE, serve_settings, takes

app = typer.Typer(
    name="fastroute",
    help="A Kubernetes Gateway API gateway. Start with `fastroute demo`, or `fastroute check` over your manifests.\n\n"
    "Every option can also be given in the environment: --drain-delay as FASTROUTE_DRAIN_DELAY.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@takes(*SERVE)
def serve(**chosen: Any) -> None:
    """Serve the Gateways and routes of a directory of manifests, and follow its changes."""
    from fastroute.app import serve as run

    raise typer.Exit(run(serve_settings(chosen)))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fastroute {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    pass


def main() -> None:
    """The command `fastroute`. What the user can mend is said in a line or two, exit code 2."""
    try:
        app(prog_name="fastroute")
    except FastrouteError as error:
        print(f"fastroute: {error}", file=sys.stderr)
        raise SystemExit(2) from None
