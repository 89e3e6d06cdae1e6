"""Shapes of Service, EndpointSlice, Endpoints, Secret and ClusterTrustBundle.

They have the basic parts of the API server's validation.
"""

from fastroute.resources.schema import Anything, Flag, List, Map, Record, Text, Whole
from fastroute.resources.shape import ANY, PORT

_PROTOCOL = Text(choices=("TCP", "UDP", "SCTP"))
_PORT_NAME = Text(most=63, form=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z", like="a port name in lower case")
# A bundle of a signer has the name "SIGNER:NAME", with the "/" in the signer's name as ":".
BUNDLE_NAME = Text(least=1, most=253, form=r"^(?!\.{1,2}\Z)[^/%]+\Z", like="a name without / and %")
TRUST_BUNDLE = Record(required=("trustBundle",), fields={"signerName": Text(most=571), "trustBundle": Text(least=1)})
SERVICE = Record(
    fields={
        "ports": List(
            of=Record(
                required=("port",),
                fields={
                    "name": _PORT_NAME,
                    "port": PORT,
                    "protocol": _PROTOCOL,
                    "appProtocol": Text(most=317),
                    "targetPort": Anything(),
                    "nodePort": Whole(),
                },
            )
        ),
        "type": Text(choices=("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")),
        "selector": Map(of=ANY),
        "externalIPs": List(of=ANY),
        **dict.fromkeys(
            (
                "clusterIP",
                "clusterIPs",
                "ipFamilies",
                "ipFamilyPolicy",
                "sessionAffinity",
                "sessionAffinityConfig",
                "externalName",
                "externalTrafficPolicy",
                "internalTrafficPolicy",
                "healthCheckNodePort",
                "loadBalancerClass",
                "loadBalancerIP",
                "loadBalancerSourceRanges",
                "allocateLoadBalancerNodePorts",
                "publishNotReadyAddresses",
                "trafficDistribution",
            ),
            Anything(),
        ),
    }
)
ENDPOINTS = List(
    most=1000,
    of=Record(
        required=("addresses",),
        fields={
            "addresses": List(least=1, most=100, of=Text(least=1)),
            "conditions": Record(fields={"ready": Flag(), "serving": Flag(), "terminating": Flag()}),
            **dict.fromkeys(("hostname", "targetRef", "deprecatedTopology", "nodeName", "zone", "hints"), Anything()),
        },
    ),
)
ENDPOINT_PORTS = List(
    most=20_000, of=Record(fields={"name": _PORT_NAME, "port": PORT, "protocol": _PROTOCOL, "appProtocol": ANY})
)
_ADDRESSES = List(
    of=Record(
        required=("ip",),
        fields={"ip": Text(least=1), **dict.fromkeys(("hostname", "nodeName", "targetRef"), Anything())},
    )
)
SUBSETS = List(
    of=Record(fields={"addresses": _ADDRESSES, "notReadyAddresses": _ADDRESSES, "ports": ENDPOINT_PORTS})
)  # of Endpoints
DATA = Map(of=ANY)
