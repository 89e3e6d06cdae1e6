"""The annotation of GRPCRoutes that names the origins whose pages may make calls of gRPC-Web.

GRPCRoutes have no CORS filter. The annotation gives each rule one, after the filters that are written. Annotations may
have 256 KiB: only the beginning of this one is kept and read.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from fastroute.resources.http_rule import HTTPCORSFilter, HTTPFilter
from fastroute.resources.route_shapes import ORIGIN_FORM, ORIGIN_MOST

ANNOTATION = "fastroute.dev/grpc-web-origins"
MOST_ORIGINS = 64  # as many as allowOrigins of an HTTPRoute may have
MOST_TEXT = MOST_ORIGINS * 256  # characters
MAX_AGE = 600  # seconds for which browsers need not ask again
# "*" means all fields except Authorization. Some browsers do not know "*" for the fields of responses.
REQUEST_FIELDS = ("*", "Authorization")
RESPONSE_FIELDS = ("*", "grpc-status", "grpc-message", "grpc-status-details-bin")

_ORIGIN = re.compile(ORIGIN_FORM)


def kept_text(text: str) -> str:
    """What is kept of the annotation: one character too many shows that it is too long."""
    return text[: MOST_TEXT + 1]


def web_origins(text: str) -> tuple[str, ...]:
    """
    >>> web_origins("https://a.example.com, https://*.b.example.com,")
    ('https://a.example.com', 'https://*.b.example.com')
    """
    return tuple(filter(None, map(str.strip, kept_text(text).split(","))))


def is_origin(text: str) -> bool:
    """
    >>> is_origin("https://*.example.com:8443"), is_origin("example.com"), is_origin("https://a.example.com/")
    (True, False, False)
    """
    return len(text) <= ORIGIN_MOST and _ORIGIN.match(text) is not None


def web_filters(annotations: Mapping[str, str]) -> tuple[HTTPFilter, ...]:
    """The CORS filter of each rule, if there are origins; those that are invalid are left out."""
    return _filters(kept_text(annotations[ANNOTATION])) if ANNOTATION in annotations else ()


@lru_cache(maxsize=64)
def _filters(text: str) -> tuple[HTTPFilter, ...]:
    origins = tuple(filter(is_origin, web_origins(text)[:MOST_ORIGINS]))
    if not origins:
        return ()
    cors = HTTPCORSFilter(
        allow_origins=origins,
        allow_methods=("POST",),
        allow_headers=REQUEST_FIELDS,
        expose_headers=RESPONSE_FIELDS,
        max_age=MAX_AGE,
    )
    return (HTTPFilter(type="CORS", cors=cors),)
