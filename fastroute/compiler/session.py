"""Session persistence of a rule, for the data plane (GEP-1619).

A session belongs to one rule: tokens are encrypted with a key that is derived from the route's UID and the rule's name,
or its index. Every worker of every replica derives the same key, no state is stored, and no rule can read the tokens of
another. Anyone who knows the UID could create a token, but a token only selects one of the rule's eligible endpoints.
"""

from hashlib import sha256

from fastroute.graph.node import RuleNode
from fastroute.graph.session import cookie_path
from fastroute.resources.duration import milliseconds
from fastroute.resources.gateway import Route
from fastroute.resources.http_rule import HTTPRule
from fastroute.snapshot import Match, Session


def session_of(route: Route, rule: HTTPRule, node: RuleNode, matches: tuple[Match, ...]) -> Session | None:
    """For a rule of `route` with these `matches`; None if it has no session persistence."""
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


def _identity(route: Route, rule: str) -> bytes:
    of = "\0".join(("session", route.metadata.uid, str(route.key), rule))
    return sha256(of.encode()).digest()
