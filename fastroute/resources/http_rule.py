"""Rules for HTTP requests: matches, filters, backendRefs, timeouts, retries and sessions.

HTTPRoute has such rules (HTTPRouteRule, HTTPRouteMatch, ... of the API). Those of other kinds are translated into them.
The stages after the graph know only these types, not the kind of the route that contains them.
"""

from typing import Any, ClassVar

from fastroute.resources.gateway import BackendObjectReference, BackendRef
from fastroute.resources.meta import Typed


class HeaderMatch(Typed, frozen=True):
    name: str
    value: str
    type: str = "Exact"


class HTTPPathMatch(Typed, frozen=True):
    type: str = "PathPrefix"
    value: str = "/"


class HTTPMatch(Typed, frozen=True):
    path: HTTPPathMatch = HTTPPathMatch()
    headers: tuple[HeaderMatch, ...] = ()
    query_params: tuple[HeaderMatch, ...] = ()
    method: str | None = None


class CallMatch(HTTPMatch, frozen=True):
    """A match of a CallRule; the method is the one of gRPC."""

    expressions: tuple[int, int] = (0, 0)  # characters of the regular expressions of the service and of the method


class HTTPHeader(Typed, frozen=True):
    name: str
    value: str


class HTTPHeaderFilter(Typed, frozen=True):
    set: tuple[HTTPHeader, ...] = ()
    add: tuple[HTTPHeader, ...] = ()
    remove: tuple[str, ...] = ()


class HTTPPathModifier(Typed, frozen=True):
    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Typed, frozen=True):
    scheme: str | None = None
    hostname: str | None = None
    path: HTTPPathModifier | None = None
    port: int | None = None
    status_code: int = 302


class HTTPURLRewriteFilter(Typed, frozen=True):
    hostname: str | None = None
    path: HTTPPathModifier | None = None


class Fraction(Typed, frozen=True):
    numerator: int
    denominator: int = 100


class HTTPRequestMirrorFilter(Typed, frozen=True):
    backend_ref: BackendObjectReference
    percent: int | None = None
    fraction: Fraction | None = None


class HTTPCORSFilter(Typed, frozen=True):
    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 5  # seconds


class LocalObjectReference(Typed, frozen=True):
    group: str
    kind: str
    name: str


class HTTPFilter(Typed, frozen=True):
    """Used by GRPCRoute as well, which allows fewer of the types."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: dict[str, Any] | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPBackendRef(BackendRef, frozen=True):
    filters: tuple[HTTPFilter, ...] = ()


class CookieConfig(Typed, frozen=True):
    lifetime_type: str = "Session"  # or "Permanent"


class SessionCookie(Typed, frozen=True):
    """Since v1.7; replaces sessionName and cookieConfig."""

    name: str | None = None
    path: str = "/"
    lifetime_type: str = "Session"  # or "Permanent"


class SessionHeader(Typed, frozen=True):
    """Since v1.7; replaces sessionName."""

    name: str


class SessionPersistence(Typed, frozen=True):
    session_name: str | None = None
    absolute_timeout: str | None = None  # GEP-2257 duration
    type: str = "Cookie"  # or "Header"
    cookie_config: CookieConfig | None = None
    cookie: SessionCookie | None = None
    header: SessionHeader | None = None

    @property
    def token(self) -> tuple[str, str | None]:
        """The field with the name of the cookie or header of the session, and that name."""
        if self.header is not None:
            return "header.name", self.header.name
        if self.cookie is not None:
            return "cookie.name", self.cookie.name
        return "sessionName", self.session_name

    @property
    def is_permanent(self) -> bool:
        config = self.cookie or self.cookie_config
        return config is not None and config.lifetime_type == "Permanent"


class HTTPTimeouts(Typed, frozen=True):
    request: str | None = None  # GEP-2257 durations
    backend_request: str | None = None


class HTTPRetry(Typed, frozen=True):
    """What a rule specifies for failed attempts; without `attempts` there is one retry."""

    codes: tuple[int, ...] = ()  # status codes of the backend that are retried: 400 to 599
    attempts: int = 1  # retries after the first attempt; 0 disables them
    backoff: str | None = None  # GEP-2257 duration; None: the gateway's default


class HTTPRule(Typed, frozen=True):
    calls: ClassVar[bool] = False  # True: takes only calls of gRPC; the method of a match is the one of gRPC

    name: str | None = None
    matches: tuple[HTTPMatch, ...] = (HTTPMatch(),)
    filters: tuple[HTTPFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    timeouts: HTTPTimeouts | None = None
    retry: HTTPRetry | None = None
    session_persistence: SessionPersistence | None = None


class CallRule(HTTPRule, frozen=True):
    """A rule that takes only calls of gRPC."""

    calls: ClassVar[bool] = True
