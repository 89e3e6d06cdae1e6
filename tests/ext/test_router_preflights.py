"""Which rule answers the preflight of a call of gRPC-Web: the one of the call."""

from ext.test_router import rule_at, winner

from fastroute.snapshot import Cors

PREFLIGHT = (
    ("Origin", "https://a"),
    ("Access-Control-Request-Method", "POST"),
    ("Access-Control-Request-Headers", "content-type, X-Grpc-Web"),
)


def test_a_preflight_of_a_call_meets_the_rule_of_the_call_if_it_names_origins() -> None:
    sharing = (Cors(origins=("*",)),)
    rules = [
        rule_at("ns/all", "PathPrefix", ""),
        rule_at("ns/service", "PathPrefix", "/a.B", calls=True, filters=sharing),
        rule_at("ns/method", "Exact", "/a.B/Closed", calls=True),
    ]
    for path, fields, taken in [
        ("/a.B/C", PREFLIGHT, "ns/service"),
        ("/a.B/Closed", PREFLIGHT, "ns/all"),
        ("/x/C", PREFLIGHT, "ns/all"),
        ("/a.B/C", PREFLIGHT[1:], "ns/all"),
        ("/a.B/C", PREFLIGHT[:2], "ns/all"),
        ("/a.B/C", (*PREFLIGHT[:1], PREFLIGHT[2], (PREFLIGHT[1][0], "PUT")), "ns/all"),
    ]:
        assert winner(rules, path, method="OPTIONS", headers=fields) == taken, (path, fields)
        if fields == PREFLIGHT:
            assert winner(rules, path, method="POST", headers=fields) == "ns/all"
