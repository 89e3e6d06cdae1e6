"""Session persistence of a rule in the terms of the data plane (GEP-1619).

A session is of one rule: tokens are encrypted under a key that follows from the route's UID and the rule's name, or its
place among the rules. Every worker of every replica makes the same key, nobody keeps anything, and no rule reads the
tokens of another. Who knows the UID could make a token; all it can do is choose among the rule's eligible endpoints.
"""

from hashlib import sha256

from fastroute.graph.node import RuleNode
from fastroute.graph.session import cookie_path
from fastroute.resources.duration import milliseconds
from fastroute.resources.gateway import HTTPRoute
from fastroute.snapshot import Match, Session


def session_of(route: HTTPRoute, node: RuleNode, matches: tuple[Match, ...]) -> Session | None:
    """Of the rule `node` of `route`, which has these matches; None: it asks for none."""
    rule = route.spec.rules[node.index]
    written = rule.session_persistence
    if written is None:
        return None
    identity = _identity(route, rule.name or str(node.index))
    return Session(
        name=written.token[1] or f"fastroute-{identity[16:20].hex()}",
        key=identity[:16],
        header=written.type == "Header",
        path=cookie_path(
            written,
            {(match.path.type, match.path.value) for match in matches},
            holds_backend=node.session_holds_backend,
        ),
        lifetime_s=-(-milliseconds(written.absolute_timeout or "0s") // 1000),
        permanent=written.is_permanent,
        holds_backend=node.session_holds_backend,
    )


def _identity(route: HTTPRoute, rule: str) -> bytes:
    of = "\0".join(("session", route.metadata.uid, str(route.key), rule))
    return sha256(of.encode()).digest()
