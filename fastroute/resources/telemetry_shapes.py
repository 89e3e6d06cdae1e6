"""Shape of XTelemetryPolicy."""

from fastroute.resources.schema import List, Record, Text, Whole
from fastroute.resources.shape import (
    GROUP_NAME,
    HEADER_NAME,
    HEADER_VALUE,
    INT32,
    KIND_NAME,
    LABEL_NAME,
    LOCAL_REF,
    NAME,
    PORT,
)

_MODE = Text(choices=("Enabled", "Disabled", "ImplementationDefault"))
_WORD = "[a-zA-Z0-9_.:/-]+"
_NAMED = "a name of letters, digits and _ . : / -"
_FRACTION = Record(
    required=("numerator",),
    fields={"numerator": Whole(least=0, most=INT32), "denominator": Whole(least=1, most=INT32)},
)
_PROVIDER = Record(
    required=("backendRef",),
    fields={
        "backendRef": Record(
            required=("name",),
            fields={"group": GROUP_NAME, "kind": KIND_NAME, "name": NAME, "namespace": LABEL_NAME, "port": PORT},
        ),
        "headers": List(
            most=16,
            keys=("name",),
            of=Record(required=("name", "value"), fields={"name": HEADER_NAME, "value": HEADER_VALUE}),
        ),
    },
)
_ATTRIBUTE = Record(
    required=("name", "sourceType"),
    fields={
        "name": Text(least=1, most=256, form=rf"^{_WORD}\Z", like=_NAMED),
        "sourceType": Text(choices=("Header", "Literal", "Attribute")),
        "headerName": HEADER_NAME,
        "literalValue": Text(least=1, most=1024),
        "attributeKey": Text(
            least=1, most=256, form=r"^[a-z0-9_.-]+\Z", like="a key such as http.response.status_code"
        ),
    },
)
TELEMETRY_POLICY = Record(
    required=("targetRefs",),
    fields={
        "targetRefs": List(least=1, most=16, of=LOCAL_REF),
        "tracing": Record(
            fields={
                "mode": _MODE,
                "provider": _PROVIDER,
                "samplingRate": _FRACTION,
                "parentBasedSampling": Record(fields={"mode": _MODE, "samplingRate": _FRACTION}),
                "serviceName": Text(least=1, most=253, form=rf"^{_WORD}\Z", like=_NAMED),
                "spanName": Text(
                    least=1, most=256, form=rf"^{_WORD}( {_WORD})*\Z", like=f"{_NAMED}, with single spaces inside"
                ),
                "attributes": List(keys=("name",), of=_ATTRIBUTE),
            },
        ),
    },
)
