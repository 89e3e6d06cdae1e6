"""The log of fastroute's own events on stderr: text, or one JSON object per line."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.logging import RichHandler

from fastroute.settings import LogSettings
from fastroute.visible import visible, visible_lines

_ENCODE = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message"[, "exception"]}`."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return _ENCODE(event).decode()


class TextFormatter(logging.Formatter):
    """One line for each event, then its traceback, indented. Control characters are escaped: a name or a pattern of a
    user must not forge lines or move the cursor of a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name of logging)
        record.message = visible(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name of logging)
        return "\n".join(f"  {line}" for line in visible_lines(super().formatException(ei)).split("\n"))


def start_log(settings: LogSettings) -> None:
    """Starts writing events of `settings.level` and above."""
    shape = settings.format or ("text" if sys.stderr.isatty() else "json")
    logging.basicConfig(handlers=[_handler(shape)], level=logging.WARNING, force=True)
    logging.getLogger("fastroute").setLevel(settings.level.upper())


def _handler(shape: str) -> logging.Handler:
    if shape == "text" and sys.stderr.isatty():
        handler: logging.Handler = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="[%X]")
        handler.setFormatter(TextFormatter("%(message)s"))
        return handler
    handler = logging.StreamHandler()
    plain = TextFormatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(plain if shape == "text" else JsonFormatter())
    return handler
