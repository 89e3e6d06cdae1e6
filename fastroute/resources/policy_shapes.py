"""Shape of BackendTLSPolicy."""

from fastroute.resources.schema import List, Map, Record, Text
from fastroute.resources.shape import GROUP_NAME, HOSTNAME, KIND_NAME, LOCAL_REF, NAME, PRECISE_HOSTNAME, SUBDOMAIN
from fastroute.resources.shape import SUBDOMAIN_NAME as SECTION_NAME

_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
BACKEND_TLS_POLICY = Record(
    required=("targetRefs", "validation"),
    fields={
        "targetRefs": List(
            least=1,
            most=16,
            of=Record(
                required=("group", "kind", "name"),
                fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME, "sectionName": SECTION_NAME},
            ),
        ),
        "validation": Record(
            required=("hostname",),
            fields={
                "caCertificateRefs": List(most=8, of=LOCAL_REF),
                "wellKnownCACertificates": Text(
                    least=1,
                    most=253,
                    form=rf"^(System|({SUBDOMAIN}/{_NAME}))\Z",
                    like="System, or a name prefixed with a domain",
                ),
                "hostname": PRECISE_HOSTNAME,
                "subjectAltNames": List(
                    most=5,
                    of=Record(
                        required=("type",),
                        fields={
                            "type": Text(choices=("Hostname", "URI")),
                            "hostname": HOSTNAME,
                            "uri": Text(
                                least=1, most=253, form="^[^:/?#]+://", like="a URI such as spiffe://example.com/a"
                            ),
                        },
                    ),
                ),
            },
        ),
        "options": Map(most=16, of=Text(most=4096)),
    },
)
