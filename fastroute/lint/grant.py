"""Lints of ReferenceGrants that allow nothing, or that no reference uses."""

from collections.abc import Iterator

from fastroute.graph.credential import client_certificate_ref
from fastroute.graph.finding import Finding, warning
from fastroute.graph.fix import allowed_routes
from fastroute.graph.frontend import authority_refs
from fastroute.graph.node import Graph
from fastroute.graph.route_stages import STAGES
from fastroute.graph.unwatched import Unwatched
from fastroute.resources.decode import KINDS
from fastroute.resources.gateway import EXPERIMENTAL, GROUP, Listener, SecretObjectReference
from fastroute.resources.lookalike import lookalike
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.telemetry import KIND
from fastroute.resources.world import Resources

Permit = tuple[str, str, str, str, str, str | None]  # from group, kind, namespace; to group, kind, name (None: any)
REFERRERS = frozenset(  # the kinds whose references we read
    {*((GROUP, kind) for kind in (*ROUTES, "Gateway", "ListenerSet")), (EXPERIMENTAL, KIND)}
)
CORE = frozenset({"core", "v1"})  # written by mistake instead of the empty group


def grants_to_gateway(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for grant in resources.reference_grants.values():
        for index, to in enumerate(grant.spec.to):
            if (to.group, to.kind) == (GROUP, "Gateway"):
                message = (
                    "A grant to kind Gateway has no effect: which routes may attach depends on allowedRoutes of the "
                    "Gateway's listeners."
                )
                fix = _stanza(grant, index, graph)
                yield warning("ReferenceGrant", grant, "GrantToGateway", message, f"spec.to[{index}].kind", fix=fix)


def _stanza(grant: ReferenceGrant, index: int, graph: Graph) -> str | None:
    """The `allowedRoutes` with the intended effect of entry `index` of `to`, for the first listener that matches, and a
    comment that says what to delete afterwards."""
    name = grant.spec.to[index].name
    entry = f"spec.to[{index}] of " if len(grant.spec.to) > 1 else ""
    then = f"# Then delete {entry}ReferenceGrant {grant.key}: it has no effect.\n"
    wanted = tuple(dict.fromkeys(origin.namespace for origin in grant.spec.from_))
    for key, gateway in graph.gateways.items():
        if key.namespace == grant.metadata.namespace and name in (None, key.name):
            listener = gateway.listeners[0].source
            stanza = allowed_routes(gateway.id, listener.name, listener.allowed_routes, wanted)
            return stanza and stanza + then
    return None


def grants_with_core_group(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for grant in resources.reference_grants.values():
        groups = [(f"spec.from[{i}].group", origin.group) for i, origin in enumerate(grant.spec.from_)]
        groups += [(f"spec.to[{i}].group", to.group) for i, to in enumerate(grant.spec.to)]
        for field, group in groups:
            if group in CORE:
                message = f'The core group is written "", not "{group}": this allows nothing.'
                yield warning("ReferenceGrant", grant, "GrantGroupNotCore", message, field, fix='group: ""')


def grants_for_unknown_kinds(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Groups and kinds that resemble known ones but do not exist: no reference is of such a kind."""
    for grant in resources.reference_grants.values():
        names = [(f"spec.from[{i}]", origin.group, origin.kind) for i, origin in enumerate(grant.spec.from_)]
        names += [(f"spec.to[{i}]", to.group, to.kind) for i, to in enumerate(grant.spec.to)]
        for field, group, kind in names:
            meant = None if (group, kind) in KINDS or group in CORE else lookalike(group, kind, tuple(KINDS))
            if meant is not None:
                fields = {"group": meant[0] or '""', "kind": meant[1]}
                wrong = [name for name, old in (("group", group), ("kind", kind)) if old != fields[name].strip('"')]
                message = f'No reference has kind {kind} of group "{group}": did you mean {meant[1]} of "{meant[0]}"?'
                fix = "\n".join(f"{name}: {fields[name]}" for name in wrong)
                yield warning("ReferenceGrant", grant, "GrantKindUnknown", message, f"{field}.{wrong[0]}", fix=fix)


def unused_grants(resources: Resources, graph: Graph) -> Iterator[Finding]:
    used = set(_references(resources))
    unwatched = Unwatched(graph.settings.watched if graph.settings else frozenset())
    for grant in resources.reference_grants.values():
        if all((to.group, to.kind) == (GROUP, "Gateway") for to in grant.spec.to):
            continue
        if not any(
            _may_be_used(permit, grant.metadata.namespace, used) or permit[2] in unwatched for permit in _permits(grant)
        ):
            yield warning("ReferenceGrant", grant, "GrantUnused", "No reference needs this grant.", "spec")


def _permits(grant: ReferenceGrant) -> Iterator[Permit]:
    for origin in grant.spec.from_:
        for to in grant.spec.to:
            yield (origin.group, origin.kind, origin.namespace, to.group, to.kind, to.name)


def _may_be_used(permit: Permit, home: str, used: set[tuple[str, Permit]]) -> bool:
    """Also True if unknown: the kind of the referrer is not read here."""
    group, kind, _, *target = permit
    known = (group, kind) in REFERRERS or target[:2] == [GROUP, "Gateway"]
    return (home, permit) in used or (group in (GROUP, EXPERIMENTAL) and not known)


def _references(resources: Resources) -> Iterator[tuple[str, Permit]]:
    """For each reference to another namespace: that namespace, and each permit that would allow the reference."""
    for kind, row in ROUTES.items():
        for route in resources.routes(row).values():
            home = route.metadata.namespace
            for ref in STAGES[kind].references(route):
                if ref.namespace not in (None, home):
                    for name in (ref.name, None):
                        yield ref.namespace or home, (GROUP, kind, home, ref.group, ref.kind, name)

    for policy in resources.telemetry_policies.values():
        home = policy.metadata.namespace
        provider = policy.spec.tracing.provider if policy.spec.tracing else None
        if provider is not None and provider.backend_ref.namespace not in (None, home):
            collector = provider.backend_ref
            for name in (collector.name, None):
                permit = (EXPERIMENTAL, KIND, home, collector.group, collector.kind, name)
                yield collector.namespace or home, permit
    for kind, holders in (("Gateway", resources.gateways), ("ListenerSet", resources.listener_sets)):
        for holder in holders.values():
            home = holder.metadata.namespace
            for secret in (ref for listener in holder.spec.listeners for ref in _certificate_refs(listener)):
                if secret.namespace not in (None, home):
                    for name in (secret.name, None):
                        yield secret.namespace or home, (GROUP, kind, home, secret.group, secret.kind, name)
    for gateway in resources.gateways.values():
        home = gateway.metadata.namespace
        shown = client_certificate_ref(gateway)
        for authority in (*authority_refs(gateway), *((shown,) if shown else ())):
            if authority.namespace not in (None, home):
                for name in (authority.name, None):
                    yield authority.namespace or home, (GROUP, "Gateway", home, authority.group, authority.kind, name)


def _certificate_refs(listener: Listener) -> tuple[SecretObjectReference, ...]:
    return listener.tls.certificate_refs if listener.tls else ()
