"""An option of a command: name, description, parser. The table of all options is in options.py.

Every option is also an environment variable: FASTROUTE_DRAIN_DELAY for `--drain-delay` (several values are separated by
spaces, paths by colons, headers by newlines). `takes` adds options to a command, so that each option is defined once,
however many commands have it.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from fastroute import notation
from fastroute.errors import SettingError


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Without `read`, the text is parsed according to `type`."""

    name: str
    meaning: str
    default: Any = ...  # ...: required
    type: Any = str
    metavar: str | None = None
    read: Callable[[str], Any] | None = None
    shown: str | None = None  # the default as displayed in --help
    at_least: int | None = None
    at_most: int | None = None

    @property
    def parameter(self) -> str:
        return self.name.strip("-").replace("-", "_")

    def annotation(self) -> Any:
        more: dict[str, Any] = {"parser": _reader(self.read, self.at_most)} if self.read else {"max": self.at_most}
        return Annotated[
            self.type,
            typer.Option(
                self.name,
                help=self.meaning,
                metavar=self.metavar,
                min=self.at_least,
                envvar="FASTROUTE_" + self.parameter.upper(),
                show_envvar=False,
                show_default=self.shown or not (self.default is None or self.default is False),
                **more,
            ),
        ]


def _reader(read: Callable[[str], Any], at_most: int | None) -> Callable[[str], Any]:
    """`read` for typer: a SettingError becomes a usage error, exit code 2."""

    def value(text: str) -> Any:
        try:
            found = read(text)
        except SettingError as error:
            raise typer.BadParameter(str(error)) from None
        if at_most is not None and found > at_most:
            raise typer.BadParameter(f"{text!r} is more than {notation.shown_size(at_most)}")
        return found

    return value


def duration(name: str, meaning: str, default: float | None) -> Option:
    shown = "no limit" if default is None else notation.shown_duration(default)
    kind = float if default is not None else float | None
    return Option(
        name=name, meaning=meaning, default=default, type=kind, read=notation.duration, metavar="TIME", shown=shown
    )


def size(name: str, meaning: str, default: int | None, at_most: int | None = None) -> Option:
    shown = notation.shown_size(default)
    kind = int if default is not None else int | None
    return Option(
        name=name,
        meaning=meaning,
        default=default,
        type=kind,
        read=notation.size,
        metavar="BYTES",
        shown=shown,
        at_most=at_most,
    )


def number(name: str, meaning: str, default: int | None, shown: str | None = None, at_most: int = 1 << 24) -> Option:
    kind = int if default is not None else int | None
    return Option(
        name=name, meaning=meaning, default=default, type=kind, metavar="N", at_least=1, at_most=at_most, shown=shown
    )


def several(name: str, meaning: str, read: Callable[[str], Any], metavar: str) -> Option:
    return Option(
        name=name, meaning=f"{meaning} Repeatable.", default=None, type=list[str] | None, read=read, metavar=metavar
    )


def switch(name: str, meaning: str) -> Option:
    return Option(name=name, meaning=meaning, default=False, type=bool)


def lines(context: typer.Context, parameter: typer.CallbackParam, given: list[str] | None) -> list[str] | None:
    """Callback of a repeatable option whose values may contain spaces: in the environment variable they are separated
    by newlines (typer would split them at every space). Empty lines are ignored."""
    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name != "ENVIRONMENT":
        return given
    text = parameter.resolve_envvar_value(context) or ""
    return [line for line in text.splitlines() if line.strip()]


_Command = TypeVar("_Command", bound=Callable[..., None])


def takes(*options: Option) -> Callable[[_Command], _Command]:
    """Adds options to a command whose last parameter is `**chosen`; the command's own parameters stay first."""

    def give(command: _Command) -> _Command:
        own = list(inspect.signature(command).parameters.values())[:-1]
        added = [
            inspect.Parameter(
                option.parameter,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if option.default is ... else option.default,
                annotation=option.annotation(),
            )
            for option in options
        ]
        command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ |= {parameter.name: parameter.annotation for parameter in added}
        return command

    return give
