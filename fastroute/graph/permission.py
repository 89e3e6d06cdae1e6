"""Whether a ReferenceGrant allows a reference to another namespace: one answer for every kind of referrer."""

from fastroute.graph import conditions
from fastroute.graph.dependency import GRANTS, UNWATCHED, Reader
from fastroute.graph.fix import grant_document
from fastroute.graph.grant import Reference, permitted, refusal_cause
from fastroute.graph.node import Problem


def refusal(reference: Reference, field: str, reader: Reader) -> Problem | None:
    """RefNotPermitted; None if a grant allows the reference or none is needed."""
    if reference.namespace == reference.to_namespace:
        return None
    if why := reader.find(UNWATCHED, reference.to_namespace):
        return conditions.ref_not_read(reference, why, field)
    grants = reader.among(GRANTS, reference.to_namespace, reference.namespace)
    if permitted(reference, grants):
        return None
    cause = refusal_cause(reference, grants)
    return conditions.ref_not_permitted(reference, cause, field, grant_document(reference, grants))
