"""Shapes of HTTPRoute and GRPCRoute, with their filters."""

from fastroute.resources.schema import Flag, List, Record, Text, Whole
from fastroute.resources.shape import (
    ANY,
    BACKEND_OBJECT_REF,
    BACKEND_REF_FIELDS,
    DURATION,
    HEADER_NAME,
    HEADER_VALUE,
    HOSTNAME,
    INT32,
    LOCAL_REF,
    MATCH_TYPE,
    METHODS,
    PARENT_REF,
    PORT,
    PRECISE_HOSTNAME,
    SCOPE,
    SUBDOMAIN_NAME,
)

# --- Filters

_HEADERS = List(
    most=16,
    keys=("name",),
    of=Record(required=("name", "value"), fields={"name": HEADER_NAME, "value": HEADER_VALUE}),
)
_HEADER_MODIFIER = Record(fields={"set": _HEADERS, "add": _HEADERS, "remove": List(most=16, of=ANY)})
_PATH_MODIFIER = Record(
    required=("type",),
    fields={
        "type": Text(choices=("ReplaceFullPath", "ReplacePrefixMatch")),
        "replaceFullPath": Text(most=1024),
        "replacePrefixMatch": Text(most=1024),
    },
)
_MIRROR = Record(
    required=("backendRef",),
    fields={
        "backendRef": BACKEND_OBJECT_REF,
        "percent": Whole(least=0, most=100),
        "fraction": Record(
            required=("numerator",),
            fields={"numerator": Whole(least=0, most=INT32), "denominator": Whole(least=1, most=INT32)},
        ),
    },
)
_REDIRECT = Record(
    fields={
        "scheme": Text(choices=("http", "https")),
        "hostname": PRECISE_HOSTNAME,
        "path": _PATH_MODIFIER,
        "port": PORT,
        "statusCode": Whole(choices=(301, 302, 303, 307, 308)),
    }
)
ORIGIN_FORM = r"(^\*\Z)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)\Z)"
ORIGIN_MOST = 253
_ORIGIN = Text(
    least=1,
    most=ORIGIN_MOST,
    form=ORIGIN_FORM,
    like="'*' or an origin such as https://*.example.com:8443",
)
_CORS = Record(
    fields={
        "allowOrigins": List(most=64, of=_ORIGIN),
        "allowCredentials": Flag(),
        "allowMethods": List(most=9, of=Text(choices=(*METHODS, "*"))),
        "allowHeaders": List(most=64, of=HEADER_NAME),
        "exposeHeaders": List(most=64, of=HEADER_NAME),
        "maxAge": Whole(least=1, most=INT32),
    }
)
_PATH_CHARACTERS = r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+"
_EXTERNAL_AUTH = Record(
    required=("backendRef", "protocol"),
    fields={
        "protocol": Text(choices=("HTTP", "GRPC")),
        "backendRef": BACKEND_OBJECT_REF,
        "grpc": Record(fields={"allowedHeaders": List(most=64, of=ANY)}),
        "http": Record(
            fields={
                "path": Text(most=1024, form=rf"^{_PATH_CHARACTERS}\Z", like="a path"),
                "allowedHeaders": List(most=64, of=ANY),
                "allowedResponseHeaders": List(most=64, of=ANY),
            }
        ),
        "forwardBody": Record(fields={"maxSize": Whole()}),
    },
)
_GRPC_FILTERS = List(
    most=16,
    of=Record(
        required=("type",),
        fields={
            "type": Text(choices=("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef")),
            "requestHeaderModifier": _HEADER_MODIFIER,
            "responseHeaderModifier": _HEADER_MODIFIER,
            "requestMirror": _MIRROR,
            "extensionRef": LOCAL_REF,
        },
    ),
)
_FILTERS = List(
    most=16,
    of=Record(
        required=("type",),
        fields={
            "type": Text(
                choices=(
                    "RequestHeaderModifier",
                    "ResponseHeaderModifier",
                    "RequestMirror",
                    "RequestRedirect",
                    "URLRewrite",
                    "ExtensionRef",
                    "CORS",
                    "ExternalAuth",
                )
            ),
            "requestHeaderModifier": _HEADER_MODIFIER,
            "responseHeaderModifier": _HEADER_MODIFIER,
            "requestMirror": _MIRROR,
            "requestRedirect": _REDIRECT,
            "urlRewrite": Record(fields={"hostname": PRECISE_HOSTNAME, "path": _PATH_MODIFIER}),
            "extensionRef": LOCAL_REF,
            "cors": _CORS,
            "externalAuth": _EXTERNAL_AUTH,
        },
    ),
)

# --- Routes

_SESSION = Record(
    fields={
        "sessionName": Text(most=128),
        "absoluteTimeout": DURATION,
        "type": Text(choices=("Cookie", "Header")),
        "cookieConfig": Record(fields={"lifetimeType": Text(choices=("Permanent", "Session"))}),
        "cookie": Record(  # since v1.7
            fields={
                "name": HEADER_NAME,
                "path": Text(most=1024),
                "lifetimeType": Text(choices=("Permanent", "Session")),
            }
        ),
        "header": Record(required=("name",), fields={"name": HEADER_NAME}),  # since v1.7
    }
)


def _header_matches(value: Text) -> List:
    return List(
        most=16,
        keys=("name",),
        of=Record(required=("name", "value"), fields={"type": MATCH_TYPE, "name": HEADER_NAME, "value": value}),
    )


def _backend_refs(filters: List) -> List:
    fields = {**BACKEND_REF_FIELDS, "filters": filters}
    return List(most=16, of=Record(required=("name",), fields=fields))


def _route(rules: List) -> Record:
    return Record(
        fields={
            "parentRefs": List(most=32, of=PARENT_REF),
            "useDefaultGateways": SCOPE,
            "hostnames": List(most=16, of=HOSTNAME),
            "rules": rules,
        }
    )


HTTP_SPEC = _route(
    List(
        least=1,
        most=16,
        of=Record(
            fields={
                "name": SUBDOMAIN_NAME,
                "matches": List(
                    most=64,
                    of=Record(
                        fields={
                            "path": Record(
                                fields={
                                    "type": Text(choices=("Exact", "PathPrefix", "RegularExpression")),
                                    "value": Text(most=1024),
                                }
                            ),
                            "headers": _header_matches(HEADER_VALUE),
                            "queryParams": _header_matches(Text(least=1, most=1024)),
                            "method": Text(choices=METHODS),
                        }
                    ),
                ),
                "filters": _FILTERS,
                "backendRefs": _backend_refs(_FILTERS),
                "timeouts": Record(fields={"request": DURATION, "backendRequest": DURATION}),
                "retry": Record(
                    fields={
                        "codes": List(of=Whole(least=400, most=599)),
                        "attempts": Whole(least=0),  # v1.6.3: at least 1; in v1.7.0, 0 disables retries
                        "backoff": DURATION,
                    }
                ),
                "sessionPersistence": _SESSION,
            }
        ),
    )
)
GRPC_SPEC = _route(
    List(
        most=16,
        of=Record(
            fields={
                "name": SUBDOMAIN_NAME,
                "matches": List(
                    most=64,
                    of=Record(
                        fields={
                            "method": Record(
                                fields={"type": MATCH_TYPE, "service": Text(most=1024), "method": Text(most=1024)}
                            ),
                            "headers": _header_matches(Text(least=1, most=4096)),
                        }
                    ),
                ),
                "filters": _GRPC_FILTERS,
                "backendRefs": _backend_refs(_GRPC_FILTERS),
                "sessionPersistence": _SESSION,
            }
        ),
    )
)
