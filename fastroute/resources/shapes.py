"""Shapes: the schema of every kind we read, by (group, kind), as in the CRDs of Gateway API v1.6.3, experimental channel.

Fields that we do not use are here too, because an object that the API server refuses must not be served from a file.
Core kinds have the basics of the API server's own validation. Defaults are the structs' own (gateway.py, core.py) and
those of `defaults.py`; rules over several fields are in `cel.py`. The order of fields is the API's.
"""

from typing import Any

from fastroute.resources.gateway import GROUP
from fastroute.resources.schema import Anything, Flag, List, Map, Record, Text, Whole

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_TOKEN = r"[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+"
_PREFIXED_PATH = r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+"

_ANY = Text()
_NAME = Text(least=1, most=253)
_SUBDOMAIN_NAME = Text(least=1, most=253, form=rf"^{_SUBDOMAIN}\Z", like="a DNS name in lower case")
_LABEL_NAME = Text(least=1, most=63, form=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z", like="a DNS label in lower case")
_SERVICE_NAME = Text(least=1, most=63, form=r"^[a-z]([-a-z0-9]*[a-z0-9])?\Z", like="a DNS label in lower case that begins with a letter")
_HOSTNAME = Text(least=1, most=253, form=rf"^(\*\.)?{_SUBDOMAIN}\Z", like="a host name in lower case, or one after '*.', without a port")
_PRECISE_HOSTNAME = Text(least=1, most=253, form=rf"^{_SUBDOMAIN}\Z", like="a host name in lower case, without a port")
_GROUP_NAME = Text(most=253, form=rf"^\Z|^{_SUBDOMAIN}\Z", like='an API group, or "" for core')
_KIND_NAME = Text(least=1, most=63, form=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z", like="a kind such as Service")
_PORT = Whole(least=1, most=65535)
_DURATION = Text(form=r"^([0-9]{1,5}(h|m|s|ms)){1,4}\Z", like='a duration such as "500ms" or "1m30s"')
_HEADER_NAME = Text(least=1, most=256, form=rf"^{_TOKEN}\Z", like="an HTTP field name")
# The CRD's form is ^[!-~]+([\t ]?[!-~]+)*$: the same language, written so that it cannot backtrack.
_HEADER_VALUE = Text(least=1, most=4096, form=r"^[!-~]+([\t ][!-~]+)*\Z", like="printable ASCII with single spaces or tabs inside")
_SCOPE = Text(choices=("All", "None"))
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_MATCH_TYPE = Text(choices=("Exact", "RegularExpression"))

# --- What every object has

_QUALIFIED = rf"^({_SUBDOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]\Z"
_LABEL_KEY = Text(least=1, most=317, form=_QUALIFIED, like="a label name such as app or example.com/app")
_LABEL_VALUE = Text(most=63, form=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z", like="a label value (letters, digits, '-', '_', '.')")
_LABELS = Map(keys=_LABEL_KEY, of=_LABEL_VALUE)
_TIME = Text(form=r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)\Z", like='a time such as "2026-01-31T12:00:00Z"')


def _metadata(name: Text, *, cluster: bool = False) -> Record:
    return Record(required=("name",), fields={
        "name": name, "generateName": _ANY, "namespace": Anything() if cluster else _LABEL_NAME,
        "generation": Whole(least=0), "creationTimestamp": _TIME, "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": Whole(), "resourceVersion": _ANY, "uid": _ANY, "selfLink": _ANY,
        "labels": _LABELS, "annotations": Map(keys=_LABEL_KEY, of=_ANY), "finalizers": List(of=_ANY),
        "ownerReferences": Anything(), "managedFields": Anything(),
    })


def _kind(*required: str, name: Text = _SUBDOMAIN_NAME, cluster: bool = False, **fields: Any) -> Record:
    every = {"apiVersion": _ANY, "kind": _ANY, "metadata": _metadata(name, cluster=cluster), "status": Anything()}
    return Record(fields={**every, **fields}, required=("metadata", *required))


# --- References

_PARAMETERS_REF = Record(required=("group", "kind", "name"), fields={
    "group": _GROUP_NAME, "kind": _KIND_NAME, "name": _NAME, "namespace": _LABEL_NAME,
})
_LOCAL_REF = Record(required=("group", "kind", "name"), fields={"group": _GROUP_NAME, "kind": _KIND_NAME, "name": _NAME})
_SECRET_REF = Record(required=("name",), fields={
    "group": _GROUP_NAME, "kind": _KIND_NAME, "name": _NAME, "namespace": _LABEL_NAME,
})
_PARENT_REF = Record(required=("name",), fields={
    "group": _GROUP_NAME, "kind": _KIND_NAME, "namespace": _LABEL_NAME, "name": _NAME,
    "sectionName": _SUBDOMAIN_NAME, "port": _PORT,
})
_BACKEND_OBJECT_REF_FIELDS: dict[str, Any] = {
    "group": _GROUP_NAME, "kind": _KIND_NAME, "name": _NAME, "namespace": _LABEL_NAME, "port": _PORT,
}
_BACKEND_OBJECT_REF = Record(required=("name",), fields=_BACKEND_OBJECT_REF_FIELDS)

# --- GatewayClass, Gateway

_SELECTOR = Record(fields={
    "matchLabels": Map(of=_ANY),
    "matchExpressions": List(of=Record(required=("key", "operator"), fields={
        "key": _ANY, "operator": _ANY, "values": List(of=_ANY),
    })),
})
_GATEWAY_CLASS = Record(required=("controllerName",), fields={
    "controllerName": Text(least=1, most=253, form=rf"^{_SUBDOMAIN}{_PREFIXED_PATH}\Z", like="a domain and a path such as example.com/gateway"),
    "parametersRef": _PARAMETERS_REF, "description": Text(most=64),
})
_FRONTEND_TLS = Record(fields={"validation": Record(required=("caCertificateRefs",), fields={
    "caCertificateRefs": List(least=1, most=16, of=_PARAMETERS_REF),
    "mode": Text(choices=("AllowValidOnly", "AllowInsecureFallback")),
})})
_LISTENER = Record(required=("name", "port", "protocol"), fields={
    "name": _SUBDOMAIN_NAME, "hostname": _HOSTNAME, "port": _PORT,
    "protocol": Text(least=1, most=255, form=rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z|{_SUBDOMAIN}\/[A-Za-z0-9]+\Z",
                     like="a protocol such as HTTP, or one with its domain"),
    "tls": Record(fields={
        "mode": Text(choices=("Terminate", "Passthrough")), "certificateRefs": List(most=64, of=_SECRET_REF),
        "options": Map(most=16, of=Text(most=4096)),
    }),
    "allowedRoutes": Record(fields={
        "namespaces": Record(fields={"from": Text(choices=("All", "Selector", "Same")), "selector": _SELECTOR}),
        "kinds": List(most=8, of=Record(required=("kind",), fields={"group": _GROUP_NAME, "kind": _KIND_NAME})),
    }),
})
_GATEWAY = Record(required=("gatewayClassName", "listeners"), fields={
    "gatewayClassName": _NAME,
    "listeners": List(least=1, most=64, keys=("name",), of=_LISTENER),
    "addresses": List(most=16, of=Record(fields={
        "type": Text(least=1, most=253, form=rf"^Hostname|IPAddress|NamedAddress|{_SUBDOMAIN}{_PREFIXED_PATH}\Z",
                     like="IPAddress, Hostname, NamedAddress, or a type with its domain"),
        "value": Text(most=253),
    })),
    "infrastructure": Record(fields={
        "labels": Map(most=8, keys=_LABEL_KEY, of=_LABEL_VALUE), "annotations": Map(most=16, keys=_LABEL_KEY, of=Text(most=4096)),
        "parametersRef": _LOCAL_REF,
    }),
    "allowedListeners": Record(fields={"namespaces": Record(fields={
        "from": Text(choices=("All", "Selector", "Same", "None")), "selector": _SELECTOR,
    })}),
    "tls": Record(fields={
        "backend": Record(fields={"clientCertificateRef": _SECRET_REF}),
        "frontend": Record(required=("default",), fields={
            "default": _FRONTEND_TLS,
            "perPort": List(most=64, keys=("port",), of=Record(required=("port", "tls"), fields={"port": _PORT, "tls": _FRONTEND_TLS})),
        }),
    }),
    "defaultScope": _SCOPE,
})

# --- Filters

_HEADERS = List(most=16, keys=("name",), of=Record(required=("name", "value"), fields={
    "name": _HEADER_NAME, "value": _HEADER_VALUE,
}))
_HEADER_MODIFIER = Record(fields={"set": _HEADERS, "add": _HEADERS, "remove": List(most=16, of=_ANY)})
_PATH_MODIFIER = Record(required=("type",), fields={
    "type": Text(choices=("ReplaceFullPath", "ReplacePrefixMatch")),
    "replaceFullPath": Text(most=1024), "replacePrefixMatch": Text(most=1024),
})
_MIRROR = Record(required=("backendRef",), fields={
    "backendRef": _BACKEND_OBJECT_REF, "percent": Whole(least=0, most=100),
    "fraction": Record(required=("numerator",), fields={"numerator": Whole(least=0), "denominator": Whole(least=1)}),
})
_REDIRECT = Record(fields={
    "scheme": Text(choices=("http", "https")), "hostname": _PRECISE_HOSTNAME, "path": _PATH_MODIFIER, "port": _PORT,
    "statusCode": Whole(choices=(301, 302, 303, 307, 308)),
})
_ORIGIN = Text(least=1, most=253, form=r"(^\*\Z)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)\Z)",
               like="'*' or an origin such as https://*.example.com:8443")
_CORS = Record(fields={
    "allowOrigins": List(most=64, of=_ORIGIN), "allowCredentials": Flag(),
    "allowMethods": List(most=9, of=Text(choices=(*_METHODS, "*"))), "allowHeaders": List(most=64, of=_HEADER_NAME),
    "exposeHeaders": List(most=64, of=_HEADER_NAME), "maxAge": Whole(least=1),
})
_PATH_CHARACTERS = r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+"
_EXTERNAL_AUTH = Record(required=("backendRef", "protocol"), fields={
    "protocol": Text(choices=("HTTP", "GRPC")), "backendRef": _BACKEND_OBJECT_REF,
    "grpc": Record(fields={"allowedHeaders": List(most=64, of=_ANY)}),
    "http": Record(fields={
        "path": Text(most=1024, form=rf"^{_PATH_CHARACTERS}\Z", like="a path"),
        "allowedHeaders": List(most=64, of=_ANY), "allowedResponseHeaders": List(most=64, of=_ANY),
    }),
    "forwardBody": Record(fields={"maxSize": Whole()}),
})
_GRPC_FILTERS = List(most=16, of=Record(required=("type",), fields={
    "type": Text(choices=("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef")),
    "requestHeaderModifier": _HEADER_MODIFIER, "responseHeaderModifier": _HEADER_MODIFIER,
    "requestMirror": _MIRROR, "extensionRef": _LOCAL_REF,
}))
_FILTERS = List(most=16, of=Record(required=("type",), fields={
    "type": Text(choices=("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite",
                          "ExtensionRef", "CORS", "ExternalAuth")),
    "requestHeaderModifier": _HEADER_MODIFIER, "responseHeaderModifier": _HEADER_MODIFIER, "requestMirror": _MIRROR,
    "requestRedirect": _REDIRECT,
    "urlRewrite": Record(fields={"hostname": _PRECISE_HOSTNAME, "path": _PATH_MODIFIER}),
    "extensionRef": _LOCAL_REF, "cors": _CORS, "externalAuth": _EXTERNAL_AUTH,
}))

# --- Routes

_SESSION = Record(fields={
    "sessionName": Text(most=128), "absoluteTimeout": _DURATION, "type": Text(choices=("Cookie", "Header")),
    "cookieConfig": Record(fields={"lifetimeType": Text(choices=("Permanent", "Session"))}),
})


def _header_matches(value: Text) -> List:
    return List(most=16, keys=("name",), of=Record(required=("name", "value"), fields={
        "type": _MATCH_TYPE, "name": _HEADER_NAME, "value": value,
    }))


def _backend_refs(filters: List) -> List:
    weight = {"weight": Whole(least=0, most=1_000_000)}
    return List(most=16, of=Record(required=("name",), fields={**_BACKEND_OBJECT_REF_FIELDS, **weight, "filters": filters}))


def _route(rules: List) -> Record:
    return Record(fields={
        "parentRefs": List(most=32, of=_PARENT_REF), "useDefaultGateways": _SCOPE,
        "hostnames": List(most=16, of=_HOSTNAME), "rules": rules,
    })


_HTTP_ROUTE = _route(List(least=1, most=16, of=Record(fields={
    "name": _SUBDOMAIN_NAME,
    "matches": List(most=64, of=Record(fields={
        "path": Record(fields={"type": Text(choices=("Exact", "PathPrefix", "RegularExpression")), "value": Text(most=1024)}),
        "headers": _header_matches(_HEADER_VALUE), "queryParams": _header_matches(Text(least=1, most=1024)),
        "method": Text(choices=_METHODS),
    })),
    "filters": _FILTERS, "backendRefs": _backend_refs(_FILTERS),
    "timeouts": Record(fields={"request": _DURATION, "backendRequest": _DURATION}),
    "retry": Record(fields={"codes": List(of=Whole(least=400, most=599)), "attempts": Whole(least=1), "backoff": _DURATION}),
    "sessionPersistence": _SESSION,
})))
_GRPC_ROUTE = _route(List(most=16, of=Record(fields={
    "name": _SUBDOMAIN_NAME,
    "matches": List(most=64, of=Record(fields={
        "method": Record(fields={"type": _MATCH_TYPE, "service": Text(most=1024), "method": Text(most=1024)}),
        "headers": _header_matches(Text(least=1, most=4096)),
    })),
    "filters": _GRPC_FILTERS, "backendRefs": _backend_refs(_GRPC_FILTERS), "sessionPersistence": _SESSION,
})))

# --- ReferenceGrant

_REFERENCE_GRANT = Record(required=("from", "to"), fields={
    "from": List(least=1, most=16, of=Record(required=("group", "kind", "namespace"), fields={
        "group": _GROUP_NAME, "kind": _KIND_NAME, "namespace": _LABEL_NAME,
    })),
    "to": List(least=1, most=16, of=Record(required=("group", "kind"), fields={
        "group": _GROUP_NAME, "kind": _KIND_NAME, "name": _NAME,
    })),
})

# --- Core kinds

_PROTOCOL = Text(choices=("TCP", "UDP", "SCTP"))
_PORT_NAME = Text(most=63, form=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z", like="a port name in lower case")
_SERVICE = Record(fields={
    "ports": List(of=Record(required=("port",), fields={
        "name": _PORT_NAME, "port": _PORT, "protocol": _PROTOCOL, "appProtocol": _ANY, "targetPort": Anything(), "nodePort": Whole(),
    })),
    "type": Text(choices=("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")), "selector": Map(of=_ANY),
    **dict.fromkeys((
        "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "sessionAffinity", "sessionAffinityConfig", "externalIPs",
        "externalName", "externalTrafficPolicy", "internalTrafficPolicy", "healthCheckNodePort", "loadBalancerClass",
        "loadBalancerIP", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "publishNotReadyAddresses",
        "trafficDistribution",
    ), Anything()),
})
_ENDPOINTS = List(most=1000, of=Record(required=("addresses",), fields={
    "addresses": List(least=1, most=100, of=Text(least=1)),
    "conditions": Record(fields={"ready": Flag(), "serving": Flag(), "terminating": Flag()}),
    **dict.fromkeys(("hostname", "targetRef", "deprecatedTopology", "nodeName", "zone", "hints"), Anything()),
}))
_ENDPOINT_PORTS = List(most=20_000, of=Record(fields={
    "name": _PORT_NAME, "port": _PORT, "protocol": _PROTOCOL, "appProtocol": _ANY,
}))
_DATA = Map(of=_ANY)

SHAPES: dict[tuple[str, str], Record] = {
    (GROUP, "GatewayClass"): _kind("spec", cluster=True, spec=_GATEWAY_CLASS),
    (GROUP, "Gateway"): _kind("spec", spec=_GATEWAY),
    (GROUP, "HTTPRoute"): _kind("spec", spec=_HTTP_ROUTE),
    (GROUP, "GRPCRoute"): _kind("spec", spec=_GRPC_ROUTE),
    (GROUP, "ReferenceGrant"): _kind("spec", spec=_REFERENCE_GRANT),
    ("", "Namespace"): _kind(name=_LABEL_NAME, cluster=True, spec=Anything()),
    ("", "Service"): _kind(name=_SERVICE_NAME, spec=_SERVICE),
    ("", "Secret"): _kind(type=_ANY, data=_DATA, stringData=_DATA, immutable=Flag()),
    ("", "ConfigMap"): _kind(data=_DATA, binaryData=_DATA, immutable=Flag()),
    ("discovery.k8s.io", "EndpointSlice"): _kind(
        "addressType", addressType=Text(choices=("IPv4", "IPv6", "FQDN")), endpoints=_ENDPOINTS, ports=_ENDPOINT_PORTS,
    ),
}
