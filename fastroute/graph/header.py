"""Header modifiers: which header fields a route must not change.

Only the gateway writes fields that frame a message or apply to one hop: a route that changed them could smuggle
requests. Host is the authority of the request: it can be set, but not removed or added again.

Backends trust what a proxy states about the client. An EndpointSlice can name the backend of another namespace, so a
route must not state an address or a certificate of a client: its value is the same for all clients, so it is never
true. A name with '_' is treated like the name with '-', because CGI and WSGI do not distinguish them.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from fastroute.graph import conditions
from fastroute.graph.node import Problem
from fastroute.listed import listed
from fastroute.resources.http_rule import HTTPFilter, HTTPHeaderFilter

FRAMING_FIELDS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The fields of ext/message/fieldname.pyx that state the address or the certificate of a client, and Proxy, which CGI
# programs use as the address of their own proxy.
STATED_FIELDS = frozenset(
    {
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "client-cert",
        "client-cert-chain",
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "forwarded-for",
        "proxy",
        "ssl-client-cert",
        "ssl-client-verify",
        "true-client-ip",
        "x-arr-clientcert",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-client-cert",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-forwarded",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-original-forwarded-for",
        "x-original-remote-addr",
        "x-originating-ip",
        "x-proxyuser-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
    }
)
STATED_PREFIX = "x-ssl-client-"
AUTHORITY = re.compile(r"[-._:\[\]0-9A-Za-z]+")


def header_problems(filter_: HTTPFilter, field: str) -> Iterator[Problem]:
    """`field`: path of the filter."""
    if (request := filter_.request_header_modifier) is not None:
        yield from _framing(request, f"{field}.requestHeaderModifier")
        yield from _at_once(request, f"{field}.requestHeaderModifier")
        yield from _host(request, f"{field}.requestHeaderModifier")
        yield from _stated(request, f"{field}.requestHeaderModifier")
    if (response := filter_.response_header_modifier) is not None:
        yield from _framing(response, f"{field}.responseHeaderModifier")
        yield from _at_once(response, f"{field}.responseHeaderModifier")


def plain_name(name: str) -> str:
    """The name as CGI and WSGI distinguish names."""
    return name.lower().replace("_", "-")


def _framing(modifier: HTTPHeaderFilter, field: str) -> Iterator[Problem]:
    named = [*(header.name for header in (*modifier.set, *modifier.add)), *modifier.remove]
    if framing := [name for name in named if plain_name(name) in FRAMING_FIELDS]:
        what = f"{listed(framing)} frames the message or the connection and cannot be changed by a route."
        yield conditions.unsupported_value(what, field)


def _at_once(modifier: HTTPHeaderFilter, field: str) -> Iterator[Problem]:
    """One action per name: the effect of several is not specified (GEP-1323)."""
    actions = (
        {header.name.lower() for header in modifier.set},
        {header.name.lower() for header in modifier.add},
        {name.lower() for name in modifier.remove},
    )
    counts = Counter(chain.from_iterable(actions))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        what = f"{listed(twice)} can have only one of the actions set, add and remove."
        yield conditions.unsupported_value(what, field, "Keep one action, or use a second filter on the backendRef.")


def _host(modifier: HTTPHeaderFilter, field: str) -> Iterator[Problem]:
    changed = [*(header.name for header in modifier.add), *modifier.remove]
    if any(name.lower() == "host" for name in changed):
        yield conditions.unsupported_value("Host cannot be added to or removed.", field, "Use set, or a URLRewrite.")
    way_out = "Set one, or use a URLRewrite."
    for header in modifier.set:  # values are in no message: they may be credentials, whatever the name
        if header.name.lower() == "host" and not AUTHORITY.fullmatch(header.value):
            yield conditions.unsupported_value(f"the value of {header.name} is not a host.", field, way_out)


def _stated(modifier: HTTPHeaderFilter, field: str) -> Iterator[Problem]:
    named = [header.name for header in (*modifier.set, *modifier.add)]
    if stated := [
        name for name in named if plain_name(name) in STATED_FIELDS or plain_name(name).startswith(STATED_PREFIX)
    ]:
        what = f"{listed(stated)} states something about the client that a route cannot know."
        yield conditions.unsupported_value(what, field)
