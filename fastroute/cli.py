"""The commands. They turn options into settings, call the code that does the work, and turn errors into exit codes.

Exit codes: 0 success, 1 problems found, 2 the command cannot run as requested. Tables and colours are only for
terminals (text.py); a pipe gets plain text. Slow imports are inside the commands, so that `--help` and completion
respond quickly.
"""

import os
import sys
import time
from collections.abc import Collection, Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from typer.main import get_command

from fastroute import __version__, notation
from fastroute.errors import FastrouteError, SettingError
from fastroute.option import lines, takes
from fastroute.options import CHECK, EXPLAIN, SERVE, graph_settings, reads_cluster, serve_settings
from fastroute.text import write_page
from fastroute.variables import PREFIX, require_known

if TYPE_CHECKING:
    from fastroute.check import Report
    from fastroute.explain.explanation import Explanation
    from fastroute.explain.question import Question
    from fastroute.resources.meta import Resource
    from fastroute.resources.world import Resources
    from fastroute.settings import GraphSettings
    from fastroute.source.directory import Directory
    from fastroute.source.kubernetes.survey import Survey


class Output(Enum):
    text = "text"
    json = "json"
    yaml = "yaml"


class ShortOutput(Enum):
    text = "text"
    json = "json"


_STDIN = Path("-")


def _variable(name: str) -> dict[str, Any]:
    """The variable of an option that only one command has (for options of several commands, see options.py)."""
    return {"envvar": f"FASTROUTE_{name}", "show_envvar": False}


app = typer.Typer(
    name="fastroute",
    help="A Kubernetes Gateway API gateway. Start with `fastroute demo`, or `fastroute check` with your manifests.\n\n"
    "Every option can also be set in the environment: --drain-delay as FASTROUTE_DRAIN_DELAY. Separate several values "
    "by spaces, several paths by colons, several headers by newlines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@takes(*SERVE)
def serve(**chosen: Any) -> None:
    """Serve the Gateways and routes of a directory of manifests, or of a cluster, and follow their changes."""
    _require_known_variables()
    from fastroute.app import serve as run

    raise typer.Exit(run(serve_settings(chosen)))


@app.command()
@takes(*CHECK)
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Manifest files or folders; `-`: standard input.", show_default=False),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", **_variable("OUTPUT"), help="Output format.")
    ] = Output.text,
    strict: Annotated[
        bool, typer.Option("--strict", **_variable("STRICT"), help="Treat warnings as problems.")
    ] = False,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary", **_variable("SUMMARY"), help="Print only one line per Gateway, the problems and the warnings."
        ),
    ] = False,
    **chosen: Any,
) -> None:
    """Check manifests offline: print the status that each object would get, the problems, and how to fix them.

    With --kubernetes, as if the manifests were applied to that cluster; without PATH, the cluster as it is.
    """
    _require_known_variables()
    from fastroute.pages import check_page, summary_page

    if summary and output is not Output.text:
        raise typer.BadParameter("cannot be combined with --output", param_hint="--summary")
    if not paths and not reads_cluster(chosen):
        raise typer.BadParameter("missing: name files or folders, or give --kubernetes", param_hint="PATH")
    report = _checked(_load(paths or []), chosen)
    if output is Output.json:
        _print_json(report.document())
    elif output is Output.yaml:
        _print_yaml(report.objects)
    else:
        write_page(summary_page(report) if summary else check_page(report))
    raise typer.Exit(1 if report.problems or (strict and report.warnings) else 0)


def _checked(source: "Directory", chosen: dict[str, Any]) -> "Report":
    from fastroute.check import ObjectName, news
    from fastroute.check import check as examine

    store, now = source.store, time.time()
    doubts = (*store.warnings, *source.fruitless())
    if not reads_cluster(chosen):
        return examine(store.snapshot(), graph_settings(chosen), store.problems, doubts, source.lines().find, now=now)
    from fastroute.live import fitting, within
    from fastroute.source.store import FIELDS

    snapshot = store.snapshot()
    applied = [one for field in FIELDS.values() for one in getattr(snapshot, field).values()]
    wanted = graph_settings(chosen, cluster=True)
    applied, beyond = within(applied, wanted)
    found = _cluster(chosen, applied)
    settings = fitting(wanted, found)
    alone = examine(found.with_applied(), settings, found.problems, found.left_out, now=now)
    if not applied and not beyond and not store.problems:
        return alone
    problems, doubts = (*found.problems, *store.problems), (*found.left_out, *beyond, *doubts)
    report = examine(found.with_applied(applied), settings, problems, doubts, source.lines().find, now=now)
    own = frozenset(ObjectName(type(one).__name__, *one.key) for one in applied)
    return msgspec.structs.replace(news(report, alone, own), assumed=report.assumed)


@app.command()
@takes(*EXPLAIN)
def explain(
    method: Annotated[
        str, typer.Argument(help="GET, POST, ...; or tcp://ADDRESS:PORT, tls://NAME:PORT or udp://ADDRESS:PORT")
    ],
    url: Annotated[
        str | None, typer.Argument(help="As sent by a client: http://host[:port]/path?query", show_default=False)
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            **_variable("HEADER"),
            callback=lines,
            help="Request header, as 'Name: value'. Repeatable. In FASTROUTE_HEADER: one header per line.",
        ),
    ] = None,
    output: Annotated[
        ShortOutput, typer.Option("--output", "-o", **_variable("OUTPUT"), help="Output format.")
    ] = ShortOutput.text,
    **chosen: Any,
) -> None:
    """Explain which rule takes a request, connection or datagram, where it goes, and why similar rules do not match."""
    _require_known_variables()
    from fastroute.pages import explain_page

    question = _question(method, url, header or ())
    if chosen["manifests"] or reads_cluster(chosen):
        told, assumed = _explained_offline(question, chosen)
    elif chosen["admin"]:
        told, assumed = _explained_by(chosen["admin"], (method, url), header or (), chosen["gateway"] or ()), None
    else:
        raise SettingError(
            "nothing to explain it from: give --manifests PATH, --kubernetes, or --admin URL for a running gateway"
        )
    if output is ShortOutput.json:
        _print_json(told)
    else:
        write_page(explain_page(question.shown, told, assumed))


def _explained_offline(question: "Question", chosen: dict[str, Any]) -> "tuple[Explanation, str | None]":
    """Also what was assumed about the addresses of the gateway."""
    from fastroute.check import assumed
    from fastroute.compiler.compile import compile_snapshot
    from fastroute.graph.build import build_graph

    admin = chosen["admin"] and notation.own_address(chosen["admin"])
    resources, settings = _world({**chosen, "gateway": None, "admin": admin})
    graph = build_graph(resources, settings)
    told = question.answer(compile_snapshot(graph).snapshot, graph, chosen["gateway"] or ())
    return told, assumed(graph, settings, [share.backend for share in told.backends or ()])


def _world(chosen: dict[str, Any]) -> "tuple[Resources, GraphSettings]":
    """The objects of the manifests or of the cluster, and the settings for them. Says what may not be read."""
    if chosen["manifests"] and reads_cluster(chosen):
        raise SettingError("--manifests and --kubernetes are mutually exclusive")
    if chosen["manifests"]:
        return _load(chosen["manifests"]).store.snapshot(), graph_settings(chosen)
    from fastroute.live import fitting

    found = _cluster(chosen)
    for one in found.left_out:
        print(f"fastroute: {one.message}", file=sys.stderr)
    return found.with_applied(), fitting(graph_settings(chosen, cluster=True), found)


def _cluster(chosen: dict[str, Any], applied: "Collection[Resource]" = ()) -> "Survey":
    from fastroute.live import read_cluster

    watched = sorted(chosen["watch_namespace"] or ())
    where = chosen["kubeconfig"], chosen["context"]
    return read_cluster(*where, chosen["controller_name"], applied, watched=watched)


def _explained_by(
    admin: str, asked: tuple[str, str | None], headers: Iterable[str], gateways: Iterable[str]
) -> "Explanation":
    """The answer of a running gateway."""
    from fastroute.asking import Asker, admin_url

    method, url = asked if asked[1] is not None else (None, asked[0])
    assert url is not None
    return Asker(admin_url(admin)).explanation(method, url, notation.headers(headers), gateways)


def _question(method: str, url: str | None, headers: Iterable[str]) -> "Question":
    """What `explain` is asked about. Raises SettingError."""
    from fastroute.explain.connection import is_target
    from fastroute.explain.question import parse_question

    fields = notation.headers(headers)
    if url is None and is_target(method):
        return parse_question(None, method, fields)
    if url is None:
        raise typer.BadParameter("a URL must follow the method", param_hint="URL")
    return parse_question(method, url, fields)


@app.command()
def status(
    admin: Annotated[
        str,
        typer.Option(
            "--admin", **_variable("ADMIN"), metavar="URL", help="Admin API of the gateway.", show_default=True
        ),
    ] = "http://127.0.0.1:9901",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", **_variable("WATCH"), help="Repeat every 2 s, until Ctrl-C.")
    ] = False,
    output: Annotated[
        ShortOutput, typer.Option("--output", "-o", **_variable("OUTPUT"), help="Output format.")
    ] = ShortOutput.text,
) -> None:
    """Print what a running gateway does: workers, listeners, routes with rates and shares, endpoints, certificates."""
    _require_known_variables()
    from fastroute.asking import Asker, admin_url
    from fastroute.watching import Printed, show_again, show_once

    asker = Asker(admin_url(admin))
    printed = Printed.json if output is ShortOutput.json else Printed.text
    if watch:
        show_again(asker, printed)
    else:
        show_once(asker, printed)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", **_variable("ONCE"), help="Exit at the end, with 0 only if all numbers are right.")
    ] = False,
) -> None:
    """Run a demo: two teams share a Gateway 70/30. Without the grant of one team, only its requests get 500."""
    _require_known_variables()
    from fastroute.demo.tour import tour

    raise typer.Exit(tour(once=once))


def _require_known_variables() -> None:
    """Raises SettingError for a FASTROUTE_* variable that belongs to no option of any command."""
    if any(name.startswith(PREFIX) for name in os.environ):
        group: Any = get_command(app)
        options = [option for command in group.commands.values() for option in command.params]
        require_known(os.environ, {option.envvar for option in options if option.envvar})


def _load(paths: list[Path]) -> "Directory":
    """Reads the manifests; SourceError (exit code 2) if a path is missing or unreadable."""
    from fastroute.source.directory import Directory

    source = Directory([path for path in paths if path != _STDIN])
    source.load(sys.stdin.buffer.read() if _STDIN in paths else None)
    return source


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _print_yaml(documents: Iterable[object]) -> None:
    print("---\n".join(msgspec.yaml.encode(document).decode() for document in documents), end="")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fastroute {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The command `fastroute`. Errors that the user can fix are printed in a line or two, with exit code 2."""
    try:
        app(prog_name="fastroute")
    except FastrouteError as error:
        print(f"fastroute: {error}", file=sys.stderr)
        raise SystemExit(2) from None
