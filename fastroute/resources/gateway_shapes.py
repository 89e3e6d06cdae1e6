"""Shapes of GatewayClass, Gateway, ListenerSet and ReferenceGrant."""

from fastroute.resources.schema import Anything, List, Map, Record, Text
from fastroute.resources.shape import (
    ANY,
    GROUP_NAME,
    HOSTNAME,
    KIND_NAME,
    LABEL_KEY,
    LABEL_NAME,
    LABEL_VALUE,
    LOCAL_REF,
    NAME,
    PARAMETERS_REF,
    PORT,
    PREFIXED_PATH,
    SCOPE,
    SECRET_REF,
    SUBDOMAIN,
    SUBDOMAIN_NAME,
)

_SELECTOR = Record(
    fields={
        "matchLabels": Map(of=ANY),
        "matchExpressions": List(
            of=Record(required=("key", "operator"), fields={"key": ANY, "operator": ANY, "values": List(of=ANY)})
        ),
    }
)
GATEWAY_CLASS = Record(
    required=("controllerName",),
    fields={
        "controllerName": Text(
            least=1,
            most=253,
            form=rf"^{SUBDOMAIN}{PREFIXED_PATH}\Z",
            like="a domain and a path such as example.com/gateway",
        ),
        "parametersRef": PARAMETERS_REF,
        "description": Text(most=64),
    },
)
_FRONTEND_TLS = Record(
    fields={
        "validation": Record(
            required=("caCertificateRefs",),
            fields={
                "caCertificateRefs": List(least=1, most=16, of=PARAMETERS_REF),
                "mode": Text(choices=("AllowValidOnly", "AllowInsecureFallback")),
            },
        )
    }
)
_LISTENER = Record(
    required=("name", "port", "protocol"),
    fields={
        "name": SUBDOMAIN_NAME,
        "hostname": HOSTNAME,
        "port": PORT,
        "protocol": Text(
            least=1,
            most=255,
            form=rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z|{SUBDOMAIN}\/[A-Za-z0-9]+\Z",
            like="a protocol such as HTTP, or one with its domain",
        ),
        "tls": Record(
            fields={
                "mode": Text(choices=("Terminate", "Passthrough")),
                "certificateRefs": List(most=64, of=SECRET_REF),
                "options": Map(most=16, of=Text(most=4096)),
            }
        ),
        "filters": Anything(),  # since v1.7
        "allowedRoutes": Record(
            fields={
                "namespaces": Record(fields={"from": Text(choices=("All", "Selector", "Same")), "selector": _SELECTOR}),
                "kinds": List(most=8, of=Record(required=("kind",), fields={"group": GROUP_NAME, "kind": KIND_NAME})),
            }
        ),
    },
)
GATEWAY = Record(
    required=("gatewayClassName", "listeners"),
    fields={
        "gatewayClassName": NAME,
        "listeners": List(least=1, most=64, keys=("name",), of=_LISTENER),
        "addresses": List(
            most=16,
            of=Record(
                fields={
                    "type": Text(
                        least=1,
                        most=253,
                        form=rf"^Hostname|IPAddress|NamedAddress|{SUBDOMAIN}{PREFIXED_PATH}\Z",
                        like="IPAddress, Hostname, NamedAddress, or a type with its domain",
                        known=("IPAddress", "Hostname", "NamedAddress"),
                    ),
                    "value": Text(most=253),
                    "routability": Text(most=253),  # since v1.7
                }
            ),
        ),
        "infrastructure": Record(
            fields={
                "labels": Map(most=8, keys=LABEL_KEY, of=LABEL_VALUE),
                "annotations": Map(most=16, keys=LABEL_KEY, of=Text(most=4096)),
                "parametersRef": LOCAL_REF,
            }
        ),
        "allowedListeners": Record(
            fields={
                "namespaces": Record(
                    fields={"from": Text(choices=("All", "Selector", "Same", "None")), "selector": _SELECTOR}
                )
            }
        ),
        "tls": Record(
            fields={
                "backend": Record(fields={"clientCertificateRef": SECRET_REF}),
                "frontend": Record(
                    required=("default",),
                    fields={
                        "default": _FRONTEND_TLS,
                        "perPort": List(
                            most=64,
                            keys=("port",),
                            of=Record(required=("port", "tls"), fields={"port": PORT, "tls": _FRONTEND_TLS}),
                        ),
                    },
                ),
            }
        ),
        "defaultScope": SCOPE,
    },
)

LISTENER_SET = Record(
    required=("parentRef", "listeners"),
    fields={
        "parentRef": Record(
            required=("name",),
            fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME, "namespace": LABEL_NAME},
        ),
        "listeners": List(least=1, most=64, keys=("name",), of=_LISTENER),
    },
)
REFERENCE_GRANT = Record(
    required=("from", "to"),
    fields={
        "from": List(
            least=1,
            most=16,
            of=Record(
                required=("group", "kind", "namespace"),
                fields={"group": GROUP_NAME, "kind": KIND_NAME, "namespace": LABEL_NAME},
            ),
        ),
        "to": List(
            least=1,
            most=16,
            of=Record(required=("group", "kind"), fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME}),
        ),
    },
)
