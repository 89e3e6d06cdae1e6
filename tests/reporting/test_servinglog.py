"""What `serve` logs about the Gateways it serves and their addresses: at the start and after changes."""

import logging

import pytest
from worlds import APPLES, FRUITS, GATEWAY, grant, world

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.reporting.servinglog import AT_MOST, ServingLog
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Failed, Outcome

WARNING, INFO = logging.WARNING, logging.INFO
WEB = "listener proxy of Gateway infra/web: http://127.0.0.1:8080"
FOREIGN = GATEWAY.replace("gatewayClassName: fastroute", "gatewayClassName: nginx")
OURS = "controller fastroute.dev/gateway"
NOTHING = "nothing to serve: there is no Gateway"


class Told:
    """The messages that one ServingLog logs for a sequence of worlds."""

    def __init__(self, caplog: pytest.LogCaptureFixture, **settings: frozenset[str]) -> None:
        caplog.set_level(INFO, "fastroute")
        self._caplog = caplog
        self._settings = GraphSettings(**settings)  # type: ignore[arg-type]
        self._log = ServingLog()

    def by(self, *manifests: str, bound: bool = True, version: int = 1) -> list[tuple[int, str]]:
        resources = world(*manifests)
        graph = build_graph(resources, self._settings)
        listeners = compile_snapshot(graph).snapshot.listeners
        result = Bound() if bound else Failed("taken")
        outcome = Outcome(version=version, target=1, listeners=dict.fromkeys(listeners, result))
        self._caplog.clear()
        self._log.show(resources, graph, listeners, outcome)
        return [(level, message) for _, level, message in self._caplog.record_tuples]


def test_what_is_served_and_where_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(caplog)
    assert told.by(GATEWAY, version=0) == []
    assert told.by(GATEWAY) == [(INFO, WEB), (INFO, "serving 1 Gateway, 0 routes, 0 endpoints")]
    assert told.by(GATEWAY, FRUITS, APPLES) == []


def test_routes_and_endpoints_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    found = Told(caplog).by(GATEWAY, FRUITS, APPLES, grant("apples", "infra", "apple-echo"))
    assert found[-1] == (INFO, "serving 1 Gateway, 1 route, 1 endpoint")


def test_a_listener_that_moves_is_said_again(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(caplog)
    told.by(GATEWAY)
    moved = GATEWAY.replace("port: 8080", "port: 8081, hostname: a.com")
    assert told.by(moved) == [(INFO, f"{WEB[:-4]}8081, for a.com"), (INFO, f"not bound any more: {WEB}")]


@pytest.mark.parametrize(
    ("manifests", "settings", "message"),
    [
        ([], {}, NOTHING),
        (
            [FOREIGN],
            {},
            f"nothing to serve: no Gateway has a class of {OURS}; not served: Gateway infra/web",
        ),
        ([GATEWAY], {"gateways": frozenset({"a/b"})}, "nothing to serve: --gateway does not include Gateway infra/web"),
        (
            [GATEWAY.replace("protocol: HTTP", "protocol: a.example/own")],
            {},
            "nothing to serve: no listener of Gateway infra/web can serve",
        ),
    ],
)
def test_nothing_to_serve_says_why(
    caplog: pytest.LogCaptureFixture, manifests: list[str], settings: dict[str, frozenset[str]], message: str
) -> None:
    told = Told(caplog, **settings)
    assert told.by(*manifests) == [(WARNING, message)]
    assert told.by(*manifests) == []


def test_something_after_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(caplog)
    assert told.by() == [(WARNING, NOTHING)]
    assert told.by(GATEWAY, bound=False) == [(WARNING, "nothing to serve: no listener could be bound")]
    assert told.by(GATEWAY) == [(INFO, WEB), (INFO, "serving 1 Gateway, 0 routes, 0 endpoints")]
    assert told.by() == [(INFO, f"not bound any more: {WEB}"), (WARNING, NOTHING)]


def test_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    many = GATEWAY.replace("name: web", "name: web-NUMBER").replace("port: 8080", "port: 1NUMBER")
    found = Told(caplog).by(*(many.replace("NUMBER", str(number)) for number in range(100, 350)))
    assert len(found) == AT_MOST + 2
    assert found[-2] == (INFO, "150 more listeners")


def test_if_there_are_too_many_the_namespaces_take_turns(caplog: pytest.LogCaptureFixture) -> None:
    """In the order of names, all lines would be about infra."""
    many = GATEWAY.replace("name: web", "name: web-NUMBER").replace("port: 8080", "port: 1NUMBER")
    other = GATEWAY.replace("name: web", "name: web").replace("infra}", "z-team}").replace("port: 8080", "port: 9999")
    found = Told(caplog).by(*(many.replace("NUMBER", str(number)) for number in range(100, 350)), other)
    assert sum("Gateway z-team/web" in line for _, line in found) == 1


def test_of_many_listeners_those_that_changed_are_said(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(caplog)
    many = GATEWAY.replace("name: web", "name: web-NUMBER").replace("port: 8080", "port: 1NUMBER")
    texts = [many.replace("NUMBER", str(number)) for number in range(100, 150)]
    told.by(*texts)
    assert told.by(*texts) == []
    assert len(told.by(*texts[1:])) == 1
