"""build_graph: connects all objects that users applied into one graph. Pure; rebuilds only what a change affects.

The stages, in order: classes, grants, certificates, policies, Gateways and ListenerSets with their listeners, then each
route separately (references resolved, parents evaluated), then backends with their endpoints, then again the routes to
backends with endpoints that are not used, then the attachments of each listener, and the ancestors of policies.
The Memo of the previous graph contains the parts and what they were built from. Only objects that are not identical to
those of the last build, and the routes that depend on one of them, are rebuilt. If a result is equal to the previous
one, the previous object is kept, so that the compiler and the statuses see no change either.
A graph built from scratch and one built from a previous graph are equal, except for pool addresses: a Gateway keeps its
address even if everything else is rebuilt (`forgotten`), or rebuilt by another process (`status.addresses`).
"""

from collections.abc import Mapping, Set

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.ancestry import count_reach, judge_policies
from fastroute.graph.attachment import attach_all, connect_all
from fastroute.graph.authorities import BUNDLE
from fastroute.graph.backend import Supply, build_backends, count_users
from fastroute.graph.certificate import CertificateNode
from fastroute.graph.change import Touched, find_touched, kept, kept_all
from fastroute.graph.dependency import (
    CONCERNS,
    CONFIG_MAPS,
    GATEWAYS,
    GRANTS,
    LISTENER_SETS,
    NAMESPACES,
    POLICIES,
    SECRETS,
    SERVICES,
    TELEMETRY,
    TRUST_BUNDLES,
    UNFULFILLED,
    UNWATCHED,
    Indexes,
    changed_entries,
)
from fastroute.graph.endpoint import Slices, build_slices, slice_owners
from fastroute.graph.family import (
    Families,
    Holders,
    build_families,
    concerned_families,
    gather,
    holders_changed,
    world_of,
)
from fastroute.graph.forbidden import Exclusion, exclude, find_forbidden
from fastroute.graph.gatewayclass import build_classes
from fastroute.graph.grant import UnreadGrants, index_grants
from fastroute.graph.memo import Memo
from fastroute.graph.node import GatewayClassNode, Graph
from fastroute.graph.policies import Policies, resolve_policies
from fastroute.graph.policy import index_policies
from fastroute.graph.policy_unit import Sources
from fastroute.graph.secured import Secured, secure
from fastroute.graph.telemetry import Changes, index_telemetry, judge_telemetry
from fastroute.graph.unit import Limits, Made, admit_units, build_units, judged_units, stale_units
from fastroute.graph.unwatched import Unwatched
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

NOTHING = Graph(classes={}, gateways={}, routes={}, parents={}, backends={})


def build_graph(resources: Resources, settings: GraphSettings, previous: Graph | None = None) -> Graph:
    """The graph of `resources`. Parts of `previous` are reused if it was built with equal settings."""
    before = previous if previous is not None and previous.settings == settings else NOTHING
    last: Memo = before.memo or Memo(settings)
    touched = find_touched(last.resources, resources)
    classes = _build_classes(resources, last, touched)
    objects = _index_objects(resources, last, touched)
    touched = msgspec.structs.replace(touched, entries=changed_entries(last.indexes, objects))
    secured, families = _build_holders(resources, classes, objects, last, touched)
    policies = _resolve_policies(resources, objects, last, touched)
    owners = slice_owners(last.resources, resources, touched.slices)
    slices = build_slices(last.resources, resources, touched.slices, last.slices)
    exclusion = _exclude(slices, owners, families, last)
    indexes = {
        **objects,
        GATEWAYS: families.gateways,
        LISTENER_SETS: families.listener_sets,
        UNFULFILLED: policies.withheld,
        CONCERNS: last.indexes.get(CONCERNS, {}),
    }
    built = {index: indexes[index] for index in indexes.keys() - objects.keys()}
    changed = touched.entries | changed_entries(last.indexes, built)
    stale = stale_units(last.units, touched.routes, changed)
    made = build_units(stale, resources, indexes, settings, last.units, changed=changed)
    memo = Memo(
        settings=settings,
        resources=resources,
        classes=classes,
        families=families,
        secured=secured,
        indexes=indexes,
        policies=policies,
        slices=slices,
        exclusion=exclusion,
        users=count_users(last, made),
    )
    supply = build_backends(memo, last, before, owners, made)
    made |= _concern_units(memo, last, supply, made)
    limits = admit_units(last.limits, last.units, made)
    made |= judged_units(last.limits, limits, last.units, made)
    memo = _completed(memo, last, supply, limits, made)
    changed |= changed_entries({CONCERNS: last.indexes.get(CONCERNS, {})}, {CONCERNS: supply.concerns})
    moved = Changes(touched.telemetry, touched.gateways, changed)
    memo = msgspec.structs.replace(memo, telemetry=judge_telemetry(memo, moved, last))
    return _graph(memo, last, before, supply, made)


def _completed(memo: Memo, last: Memo, supply: Supply, limits: Limits, made: Made) -> Memo:
    """With what follows from the routes and the backends."""
    return msgspec.structs.replace(
        memo,
        indexes={**memo.indexes, CONCERNS: supply.concerns},
        units=replaced(last.units, made),
        attached=attach_all(last, made),
        reach=count_reach(memo, last, made),
        limits=limits,
        rations=supply.rations,
    )


def _concern_units(memo: Memo, last: Memo, supply: Supply, made: Made) -> Made:
    """The routes to backends whose concerns changed, built again: the backends are known only after the routes."""
    changed = changed_entries({CONCERNS: memo.indexes[CONCERNS]}, {CONCERNS: supply.concerns})
    if not changed:
        return {}
    stale = stale_units(replaced(last.units, made), frozenset(), changed)
    return build_units(stale, memo.resources, {**memo.indexes, CONCERNS: supply.concerns}, memo.settings, last.units)


def _graph(memo: Memo, last: Memo, before: Graph, supply: Supply, made: Made) -> Graph:
    """The parts, connected."""
    nodes = {id_: unit.node if unit else None for id_, unit in made.items()}
    parents = {id_: unit.attached.parents if unit and unit.node else None for id_, unit in made.items()}
    return Graph(
        controller_name=memo.settings.controller_name,
        classes=memo.classes,
        gateways=connect_all(memo.gateways, last.gateways, before.gateways, memo, last),
        listener_sets=connect_all(memo.listener_sets, last.listener_sets, before.listener_sets, memo, last),
        routes=replaced(before.routes, nodes),
        parents=replaced(before.parents, parents),
        backends=supply.backends,
        policies=judge_policies(memo, last, before.policies),
        telemetry=memo.telemetry,
        grants=memo.indexes[GRANTS],
        certificates=_certificates(memo, last, before),
        memo=memo,
    )


def forgotten(graph: Graph, settings: GraphSettings | None = None) -> Graph:
    """An empty graph that keeps only the addresses that `graph` gave to Gateways; optionally with other settings."""
    memo: Memo = graph.memo
    return msgspec.structs.replace(NOTHING, memo=Memo(settings or memo.settings, former=memo.gateways or memo.former))


def _index_objects(resources: Resources, last: Memo, touched: Touched) -> Indexes:
    """What is known before anything is built."""
    grants = index_grants(resources.reference_grants, touched.grants, last.indexes.get(GRANTS))
    if why := last.settings.missing.get("ReferenceGrant"):
        grants = UnreadGrants(why)
    before, after = last.resources.backend_tls_policies, resources.backend_tls_policies
    return {
        CONFIG_MAPS: resources.config_maps,
        TRUST_BUNDLES: resources.trust_bundles,
        GRANTS: grants,
        NAMESPACES: resources.namespaces,
        POLICIES: index_policies(before, after, touched.policies, last.indexes.get(POLICIES, {})),
        SECRETS: resources.secrets,
        SERVICES: resources.services,
        TELEMETRY: index_telemetry(
            last.resources.telemetry_policies,
            resources.telemetry_policies,
            touched.telemetry,
            last.indexes.get(TELEMETRY, {}),
        ),
        UNWATCHED: last.indexes[UNWATCHED] if UNWATCHED in last.indexes else Unwatched(last.settings.watched),
    }


def _resolve_policies(resources: Resources, objects: Indexes, last: Memo, touched: Touched) -> Policies:
    return resolve_policies(
        resources.backend_tls_policies,
        touched.policies,
        objects,
        frozenset(entry for entry in touched.entries if entry[0] in (CONFIG_MAPS.kind, TRUST_BUNDLES.kind)),
        last.policies,
        sources=Sources(last.settings.system_anchors, last.settings.missing.get(BUNDLE, "")),
    )


def _build_classes(resources: Resources, last: Memo, touched: Touched) -> Mapping[Key, GatewayClassNode]:
    if last.classes and not touched.classes:
        return last.classes
    return kept_all(last.classes, build_classes(resources.gateway_classes, last.settings), kept)


def _build_holders(
    resources: Resources, classes: Mapping[Key, GatewayClassNode], objects: Indexes, last: Memo, touched: Touched
) -> tuple[Secured, Families]:
    """Gateways and ListenerSets with their certificates, before routes are attached."""
    changed = touched.entries
    are_same = classes is last.classes and resources.services is last.resources.services  # the addresses are theirs
    if are_same and not (changed or touched.gateways or touched.listener_sets):
        return last.secured, last.families
    before = world_of(last.resources, last.classes, last.secured, last.settings, last.indexes)
    world = world_of(resources, classes, last.secured, last.settings, objects)
    members = gather(world, last.families.members, before, touched)
    secured = last.secured
    if (changes := holders_changed(last.families.members, members)) or changed:
        secured = secure(changes, objects, changed, last.secured, no_bundles=last.settings.missing.get(BUNDLE, ""))
    world = world._replace(tls=secured.resolved, frontends=secured.frontends, credentials=secured.credentials)
    concerned = concerned_families(members, world, last.families, before, changed)
    return secured, build_families(members, world, last.gateways or last.former, last.families, concerned)


def _exclude(slices: Slices, owners: Set[Key], families: Families, last: Memo) -> Exclusion:
    """The endpoints that are refused. `owners`: the Services whose EndpointSlices changed."""
    old, forbidden = last.families, last.exclusion.forbidden
    moved = families.gateways is not old.gateways or families.listener_sets is not old.listener_sets
    if moved or not last.gateways:
        found = find_forbidden(families.gateways, Holders(families).values(), last.settings)
        forbidden = kept(forbidden, found)
    return exclude(slices, owners, forbidden, last.exclusion)


def _certificates(memo: Memo, last: Memo, before: Graph) -> Mapping[str, CertificateNode]:
    """The certificates that can be served, by id."""
    changes: dict[str, CertificateNode | None] = {}
    for key in changed_keys(last.secured.certificates, memo.secured.certificates):
        node = memo.secured.certificates.get(key)
        changes[str(key)] = node if node and node.certificate else None
    return replaced(before.certificates, changes)
