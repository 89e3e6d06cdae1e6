"""The text of `fastroute status`."""

from view.seen import seen
from view.test_views import HTTPS, secret
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, world

from fastroute.overview import MOST, overview_page
from fastroute.place import Transport
from fastroute.snapshot import Endpoint
from fastroute.text import Block, Line, Table, Yaml
from fastroute.view.answers import Overview
from fastroute.view.certificates import certificates
from fastroute.view.endpoints import endpoints
from fastroute.view.gateways import gateways
from fastroute.view.paging import Window
from fastroute.view.routes import routes
from fastroute.view.state import FailedTries, State
from fastroute.view.summary import status
from fastroute.view.traffic import Flow, Traffic

ALL = Window(limit=1000)


def page(state: State) -> list[Block]:
    found = Overview(
        status=status(state, ALL),
        gateways=gateways(state, ALL).items,
        routes=routes(state, ALL).items,
        endpoints=endpoints(state, ALL).items,
        certificates=certificates(state, ALL).items,
    )
    return list(overview_page(found))


def rows(blocks: list[Block], heading: str) -> list[tuple[tuple[str, ...], str]]:
    [table] = [one for one in blocks if isinstance(one, Table) and one.headings[0] == heading]
    return list(zip(table.rows, table.styles, strict=True))


def lines(blocks: list[Block]) -> list[str]:
    return [one.text for one in blocks if isinstance(one, Line)]


def test_a_healthy_gateway_has_no_colour() -> None:
    shares = {("HTTPRoute", "infra/fruits", "0"): {"bananas/banana-echo:80": 69, "apples/apple-echo:80": 31}}
    flow = Flow(100, 0, (100, 0, 0))
    listened = {("infra/web", "proxy"): 100}
    traffic = Traffic(10.0, (0.001, 0.002), {("HTTPRoute", "infra/fruits"): flow}, shares, listened)
    allowed = grant("apples", "infra"), grant("bananas", "infra")
    blocks = page(seen(world(GATEWAY, FRUITS, APPLES, BANANAS, *allowed), ready=True, slots=1, traffic=traffic))
    assert not any(isinstance(one, Yaml) for one in blocks)
    assert lines(blocks)[1] == (
        "1 Gateway, 1 listener, 1 route, 2 backends, 0 certificates; 10.0 requests/s in the last 10 s"
    )
    assert {style for one in blocks if isinstance(one, Table) for style in one.styles} == {""}
    [(listener, _)] = rows(blocks, "GATEWAY")
    assert listener == ("infra/web", "proxy", "HTTP 8080", "127.0.0.1:8080", "any", "1", "10.0/s", "fine")
    [(route, _)] = rows(blocks, "ROUTE")
    assert route[:6] == ("HTTPRoute infra/fruits", "10.0/s", "0.00%", "0.50 ms", "0.90 ms", "0.99 ms")
    assert route[6] == "0: bananas/banana-echo:80 70.0% (69.0%), apples/apple-echo:80 30.0% (31.0%)"


def test_a_missing_grant_is_red_and_can_be_copied() -> None:
    blocks = page(seen(world(GATEWAY, FRUITS, APPLES, BANANAS, grant("bananas", "infra")), ready=True, slots=2))
    [(route, style)] = rows(blocks, "ROUTE")
    assert style == "red"
    assert "apples/apple-echo:80 30.0% (-) RefNotPermitted" in route[6]
    [fix] = [one.text for one in blocks if isinstance(one, Yaml)]
    assert "namespace: apples" in fix
    assert "problems: 1 (refused references: 1); `fastroute check` lists them, and warnings" in lines(blocks)
    assert rows(blocks, "WORKER")[1] == (("1 missing", *[""] * 8), "red")


def test_a_route_that_fails_is_red_and_comes_first() -> None:
    routes_ = [FRUITS.replace("name: fruits", f"name: r{number}") for number in range(3)]
    flows = {("HTTPRoute", f"infra/r{number}"): Flow(10, 5 * (number == 2), ()) for number in range(3)}
    allowed = grant("apples", "infra"), grant("bananas", "infra")
    traffic = Traffic(10.0, (), flows, {}, {})
    found = rows(page(seen(world(GATEWAY, *routes_, APPLES, BANANAS, *allowed), traffic=traffic)), "ROUTE")
    assert [(cells[0], cells[2], style) for cells, style in found] == [
        ("HTTPRoute infra/r2", "50.00%", "red"),
        ("HTTPRoute infra/r0", "0.00%", ""),
        ("HTTPRoute infra/r1", "0.00%", ""),
    ]


def test_backends_without_endpoints_and_expired_certificates_are_red() -> None:
    texts = (GATEWAY, FRUITS, APPLES.partition("---")[0], BANANAS, grant("apples", "infra"), grant("bananas", "infra"))
    blocks = page(seen(world(*texts, HTTPS, secret("infra")), now=4e9))
    assert [(cells[0], cells[2], style) for cells, style in rows(blocks, "BACKEND")] == [
        ("apples/apple-echo:80", "0 of 0", "red"),
        ("bananas/banana-echo:80", "1 of 1", ""),
    ]
    [(certificate, style)] = rows(blocks, "CERTIFICATE")
    assert (certificate[:2], style) == (("infra/edge", "expired"), "red")
    assert "certificates that clients refuse: infra/edge expired" in lines(blocks)
    states = [cells[7] for cells, _ in rows(blocks, "GATEWAY")]
    assert [text.endswith("certificate infra/edge expired") for text in states] == [True, False]


def test_what_is_wrong_with_a_route_and_which_rules_have_no_request_is_said() -> None:
    wrong = FRUITS.replace("port: 80", "port: 81", 1)
    flows = {("HTTPRoute", "infra/fruits"): Flow(10, 0, ())}
    traffic = Traffic(10.0, (), flows, {}, {})
    allowed = grant("apples", "infra"), grant("bananas", "infra")
    blocks = page(seen(world(GATEWAY, wrong, APPLES, BANANAS, *allowed), traffic=traffic))
    assert any("it has no port 81; its ports are 80" in line for line in lines(blocks))
    [(route, _)] = rows(blocks, "ROUTE")
    assert "no request so far: 0" in route[6]


def test_long_tables_are_cut() -> None:
    texts = [FRUITS.replace("name: fruits", f"name: r{number:03}") for number in range(MOST + 10)]
    blocks = page(seen(world(GATEWAY, *texts)))
    assert len(rows(blocks, "ROUTE")) == MOST
    assert "and 10 more rows: -o json has all" in lines(blocks)
    assert f"and {MOST + 20} more refused references: -o json has all" in lines(blocks)
    assert len([one for one in blocks if isinstance(one, Yaml)]) == 2  # each grant once


def test_the_endpoint_that_fails_is_named_first() -> None:
    allowed = grant("apples", "infra"), grant("bananas", "infra")
    failed = {
        ("apples/apple-echo:80", Endpoint("127.0.0.1", 18001)): FailedTries(
            9, 4, 0.0, {"status": 2, "upstream_closed": 7}
        ),
        ("bananas/banana-echo:80", Endpoint("127.0.0.1", 18002)): FailedTries(3, 0, 0.0, {"status": 3}),
    }
    blocks = page(seen(world(GATEWAY, FRUITS, APPLES, BANANAS, *allowed), failed=failed))
    [(apples, style), (bananas, calm)] = rows(blocks, "BACKEND")
    assert (apples[0], style, calm) == ("apples/apple-echo:80", "yellow", "")
    assert apples[3] == "127.0.0.1:18001 FAILED 4 times in the last minute (so far: upstream_closed 7, status 2)"
    assert "FAILED" not in bananas[3]


def test_an_endpoint_that_failed_before_is_listed_only_while_it_is_avoided_or_offered() -> None:
    allowed = grant("apples", "infra"), grant("bananas", "infra")
    gone, old = Endpoint("127.0.0.9", 18001), FailedTries(3, 0, 0.0, {"status": 3})
    failed = {("apples/apple-echo:80", gone): old, ("bananas/banana-echo:80", Endpoint("127.0.0.1", 18002)): old}
    avoided = {Transport.TCP: frozenset({Endpoint("127.0.0.1", 18002)})}
    state = seen(world(GATEWAY, FRUITS, APPLES, BANANAS, *allowed), failed=failed)
    blocks = page(state._replace(avoided=avoided))
    texts = {row[0]: row[2:] for row, _ in rows(blocks, "BACKEND")}
    assert texts["apples/apple-echo:80"] == ("1 of 1", "127.0.0.1:18001")
    assert texts["bananas/banana-echo:80"][1] == "127.0.0.1:18002 avoided (so far: status 3)"
