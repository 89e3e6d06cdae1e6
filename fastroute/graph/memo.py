"""Memo: the parts of a graph, and what they were built from."""

from collections.abc import Mapping

import msgspec

from fastroute.graph.dependency import Indexes
from fastroute.graph.endpoint import Slices
from fastroute.graph.family import Families
from fastroute.graph.forbidden import Exclusion
from fastroute.graph.node import Attachment, GatewayClassNode, GatewayNode, ListenerSetNode, RouteId, TelemetryNode
from fastroute.graph.policies import Policies
from fastroute.graph.ration import Rations
from fastroute.graph.route import ListenerId
from fastroute.graph.secured import Secured
from fastroute.graph.unit import Limits, Unit
from fastroute.graph.variant import Users
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings


class Memo(msgspec.Struct, frozen=True, eq=False):
    """What the next build starts from. Contains no earlier Memo."""

    settings: GraphSettings
    resources: Resources = Resources()
    classes: Mapping[Key, GatewayClassNode] = {}
    families: Families = Families()  # before routes are attached
    secured: Secured = Secured()
    indexes: Indexes = {}  # what nodes depend on
    policies: Policies = Policies()
    slices: Slices = {}
    exclusion: Exclusion = Exclusion()
    units: Mapping[RouteId, Unit] = {}
    attached: Mapping[ListenerId, Mapping[RouteId, Attachment]] = {}
    limits: Limits = Limits()
    users: Users = {}
    reach: Mapping[Key, Mapping[Key, int]] = {}  # the Gateways that reach a Service (ancestry.py)
    telemetry: Mapping[Key, TelemetryNode] = {}
    rations: Mapping[str, Rations] = {}  # endpoints of backends, by namespace
    former: Mapping[Key, GatewayNode] = {}  # of a forgotten graph: only their addresses are used

    @property
    def gateways(self) -> Mapping[Key, GatewayNode]:
        """Before routes are attached."""
        return self.families.gateways

    @property
    def listener_sets(self) -> Mapping[Key, ListenerSetNode]:
        """Likewise."""
        return self.families.listener_sets
