"""The options of `serve` about the access log and traces; a part of the table in options.py."""

from fastroute import notation
from fastroute.option import Option
from fastroute.settings import ServeSettings

_SERVE = ServeSettings()

ACCESS_LOG = (
    Option(
        name="--access-log",
        meaning="File for the access log: one line per request. `-`: stdout; `off`: no log.",
        default="off",
        metavar="PATH",
    ),
    Option(
        name="--access-log-format",
        meaning="json, or the Common Log Format (common), or this with Referer and User-Agent (combined).",
        default=_SERVE.access_log_format,
        read=notation.one_of("json", "common", "combined"),
        metavar="FORMAT",
    ),
    Option(
        name="--access-log-sample",
        meaning="Part of the requests that the access log contains, from 0 to 1. Failures are always in it.",
        default=_SERVE.access_log_sample,
        type=float,
        read=notation.ratio,
        metavar="RATIO",
        shown=notation.shown_ratio(_SERVE.access_log_sample),
    ),
)

TRACES = (
    Option(
        name="--otlp",
        meaning="URL of a collector that gets spans over OTLP/HTTP, such as http://collector:4318. `off`: no traces.",
        default="off",
        read=notation.collector,
        metavar="URL",
    ),
    Option(
        name="--trace-sampling",
        meaning="Part of the traces that begin at the gateway and are exported, from 0 to 1. A trace whose sender has "
        "sampled it is always exported.",
        default=_SERVE.trace_sampling,
        type=float,
        read=notation.ratio,
        metavar="RATIO",
        shown=notation.shown_ratio(_SERVE.trace_sampling),
    ),
)
