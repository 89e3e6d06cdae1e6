"""`fastroute check` as users type it: exit codes, problems, warnings, and the formats of the output."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from commands import EXAMPLES, FINE, REFUSED, fastroute


def test_check_of_good_manifests() -> None:
    result = fastroute("check", FINE)
    assert result.exit_code == 0
    assert result.stdout.endswith("3 objects, 0 problems, 0 warnings\n")
    assert "ResolvedRefs=True" in result.stdout


def test_check_shows_the_missing_grant_ready_to_apply() -> None:
    result = fastroute("check", REFUSED)
    assert result.exit_code == 1
    assert "ResolvedRefs=False" in result.stdout
    [grant] = re.findall(r"(?s)apiVersion: \S+\nkind: ReferenceGrant\n.*?name: refunds\n", result.stdout)
    assert msgspec.yaml.decode(grant)["spec"]["to"] == [{"group": "", "kind": "Service", "name": "refunds"}]


def test_the_grant_that_check_shows_is_the_one_that_was_missing(tmp_path: Path) -> None:
    [problem] = json.loads(fastroute("check", REFUSED, "-o", "json").stdout)["problems"]
    (tmp_path / "grant.yaml").write_text(problem["fix"])
    assert fastroute("check", REFUSED, tmp_path).exit_code == 0


def test_the_stanza_that_check_shows_admits_the_route() -> None:
    [problem] = json.loads(fastroute("check", EXAMPLES / "shared-gateway", "-o", "json").stdout)["problems"]
    assert problem["reason"] == "NotAllowedByListeners"
    assert "allowedRoutes" in msgspec.yaml.decode(problem["fix"])


def test_check_as_json_has_the_shape_that_is_promised() -> None:
    report = json.loads(fastroute("check", REFUSED, "-o", "json").stdout)
    assert list(report) == ["objects", "problems", "warnings"]
    assert [set(each) for each in report["objects"]] == [{"apiVersion", "kind", "metadata", "status"}] * 2
    [problem] = report["problems"]
    assert list(problem) == ["object", "condition", "reason", "message", "field", "file", "line", "fix"]
    assert problem["object"] == {"kind": "HTTPRoute", "namespace": "infra", "name": "payments"}
    assert problem["field"] == "spec.rules[1].backendRefs[0]"
    assert problem["file"] == str(REFUSED / "infra.yaml")
    assert "name: refunds" in (REFUSED / "infra.yaml").read_text().splitlines()[problem["line"] - 1]
    conditions = report["objects"][1]["status"]["parents"][0]["conditions"]
    assert set(conditions[0]) == {"type", "status", "reason", "message", "observedGeneration"}


def test_check_knows_the_limit_of_ports(tmp_path: Path) -> None:
    listeners = ", ".join(f"{{name: p{port}, port: {port}, protocol: HTTP}}" for port in (80, 81, 82))
    (tmp_path / "gateway.yaml").write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"
        f"spec: {{gatewayClassName: fastroute, listeners: [{listeners}]}}\n"
    )
    assert fastroute("check", tmp_path).exit_code == 0
    result = fastroute("check", tmp_path, "-o", "json", "--max-ports", "2")
    assert result.exit_code == 1
    [problem] = json.loads(result.stdout)["problems"]
    assert (problem["condition"], problem["reason"]) == ("Accepted", "PortUnavailable")
    assert problem["field"] == "spec.listeners[2].port"
    assert "2 ports, which is the limit of this installation (--max-ports 2)" in problem["message"]


LOCAL = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: fastroute, listeners: [{name: web, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [ADDRESS]}]
ports: [{port: PORT}]
"""


@pytest.mark.parametrize(
    ("address", "port", "words", "own"),
    [
        ("127.0.0.1", 9900, [], True),
        ("127.0.0.1", 9902, [], True),
        ("127.0.0.1", 9901, [], True),
        ("127.0.0.1", 9901, ["--admin", "off"], False),
        ("127.0.0.1", 9901, ["--metrics", "off"], True),
        ("127.0.0.1", 7001, ["--admin", "127.0.0.1:7001"], True),
        ("127.0.0.1", 9900, ["--metrics", "127.0.0.1:7001"], False),
        ("127.0.0.1", 7001, ["--metrics", "127.0.0.1:7001"], True),
        ("127.0.0.1", 7001, ["--metrics", "[::ffff:127.0.0.1]:7001"], True),
        ("127.0.0.1", 7001, ["--metrics", "0.0.0.0:7001"], True),
        ("127.0.0.2", 9902, ["--metrics", "127.0.0.2:7001"], True),
        ("127.0.0.1", 7001, ["--health", "127.0.0.1:7001"], True),
        ("127.0.0.1", 9900, ["--metrics", "off"], False),
        ("127.0.0.1", 9902, ["--metrics", "off"], False),
        ("127.0.0.1", 9902, ["--health", "off"], False),
        ("127.0.0.1", 80, [], True),
        ("127.0.0.1", 80, ["--port-offset", "8000"], False),
        ("127.0.0.1", 8080, ["--port-offset", "8000"], True),
        ("192.0.2.7", 8080, ["--bind", "192.0.2.7", "--port-offset", "8000"], True),
    ],
)
def test_check_and_explain_know_the_addresses_of_the_gateway(
    tmp_path: Path, address: str, port: int, words: list[str], own: bool
) -> None:
    (tmp_path / "all.yaml").write_text(LOCAL.replace("ADDRESS", address).replace("PORT", str(port)))
    variables = {
        f"FASTROUTE_{name[2:].upper().replace('-', '_')}": value
        for name, value in zip(words[::2], words[1::2], strict=True)
    }
    report = json.loads(fastroute("check", tmp_path, "-o", "json", *words).stdout)
    assert report == json.loads(fastroute("check", tmp_path, "-o", "json", **variables).stdout)
    assert [problem["reason"] for problem in report["problems"]] == ["EndpointRefused"] * own
    told = json.loads(fastroute("explain", "GET", "http://a/", "--manifests", tmp_path, "-o", "json", *words).stdout)
    assert told["backends"][0]["reason"] == ("no_endpoint" if own else None)


def test_check_and_explain_say_which_addresses_of_the_gateway_they_assumed(tmp_path: Path) -> None:
    said = "Assumed addresses of the gateway itself: listeners at 127.0.0.1; metrics, health and admin at "
    (tmp_path / "all.yaml").write_text(LOCAL.replace("ADDRESS", "127.0.0.1").replace("PORT", "8080"))
    for command in (["check", tmp_path], ["explain", "GET", "http://a/", "--manifests", tmp_path]):
        assert f"{said}127.0.0.1:9900, 127.0.0.1:9902, 127.0.0.1:9901. Set them as" in fastroute(*command).stdout
        assert (
            f"{said}[::1]:7, 127.0.0.1:8, 127.0.0.1:9. "
            in fastroute(*command, "--metrics", "[::1]:7", "--health", "127.0.0.1:8", "--admin", "127.0.0.1:9").stdout
        )
        assert f"{said}no address. " in fastroute(*command, "--metrics", "off", "--admin", "off").stdout
        assert (
            "listeners at 0.0.0.0 with --port-offset 9; "
            in fastroute(*command, "--bind", "0.0.0.0", "--port-offset", "9").stdout
        )
    (tmp_path / "all.yaml").write_text(LOCAL.replace("ADDRESS", "192.0.2.7").replace("PORT", "8080"))
    for command in (["check", tmp_path], ["explain", "GET", "http://a/", "--manifests", tmp_path]):
        assert "Assumed" not in fastroute(*command).stdout


def test_check_as_yaml_is_a_stream_of_the_objects() -> None:
    from yaml import safe_load_all

    stream = fastroute("check", REFUSED, "-o", "yaml").stdout
    assert list(safe_load_all(stream)) == json.loads(fastroute("check", REFUSED, "-o", "json").stdout)["objects"]


def test_check_gives_equal_output_for_equal_input() -> None:
    assert fastroute("check", EXAMPLES, "-o", "json").stdout == fastroute("check", EXAMPLES, "-o", "json").stdout


def test_a_file_that_does_not_parse_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("kind: [\n")
    result = fastroute("check", tmp_path, "-o", "json")
    assert result.exit_code == 1
    [problem] = json.loads(result.stdout)["problems"]
    assert problem["object"] is None
    assert problem["condition"] is None
    assert problem["file"].endswith("broken.yaml")
    assert problem["line"] in (1, 2)


def test_a_path_that_is_missing_is_exit_code_2() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fastroute", "check", "/nowhere/at-all"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("fastroute: ")
    assert "/nowhere/at-all" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_gateway_that_is_not_there_is_told() -> None:
    [warning] = json.loads(fastroute("check", FINE, "--gateway", "infra/egde", "-o", "json").stdout)["warnings"]
    assert warning["reason"] == "GatewayNotFound"
    assert warning["object"] == {"kind": "Gateway", "namespace": "infra", "name": "egde"}
    assert fastroute("check", FINE, "--gateway", "infra/egde", "--strict").exit_code == 1
    assert fastroute("check", FINE, "--gateway", "infra/edge", "--strict").exit_code == 0


def test_several_gateways_that_are_not_there_are_told_in_order() -> None:
    words = [word for name in "edcba" for word in ("--gateway", f"infra/{name}")]
    warnings = json.loads(fastroute("check", FINE, *words, "-o", "json").stdout)["warnings"]
    assert [warning["object"]["name"] for warning in warnings] == list("abcde")


def test_strict_makes_warnings_count(tmp_path: Path) -> None:
    shutil.copytree(FINE, tmp_path, dirs_exist_ok=True)
    infra = tmp_path / "infra.yaml"
    infra.write_text(infra.read_text().replace("weight: 30", "weight: 0"))
    assert fastroute("check", tmp_path).exit_code == 0
    assert "warning" in fastroute("check", tmp_path).stdout
    assert fastroute("check", tmp_path, "--strict").exit_code == 1


def test_check_takes_what_serve_takes() -> None:
    foreign = json.loads(fastroute("check", FINE, "-o", "json", "--controller-name", "example.com/other").stdout)
    assert foreign["objects"] == []
    pooled = json.loads(fastroute("check", FINE, "-o", "json", "--address-pool", "192.0.2.0/29").stdout)
    [gateway] = [each for each in pooled["objects"] if each["kind"] == "Gateway"]
    assert gateway["status"]["addresses"][0]["value"].startswith("192.0.2.")


def test_messages_are_whole_in_a_pipe() -> None:
    [problem] = json.loads(fastroute("check", REFUSED, "-o", "json").stdout)["problems"]
    assert problem["message"] in fastroute("check", REFUSED).stdout
    assert "\x1b" not in fastroute("check", REFUSED).stdout


SPOILT = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: fastroute, listeners: [{name: h, port: 80, protocol: HTTP}]}
status:
  conditions: [{type: Foo}, {type: Bar, status: 3}, 7]
  listeners: [{name: h, conditions: [{type: Mine}]}, {name: z}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{name: gw}]}
status:
  parents:
  - {controllerName: other.io/x}
  - {controllerName: other.io/y, parentRef: {name: gw}, conditions: [{type: Accepted}]}
  - {controllerName: other.io/z, parentRef: 3, conditions: 4}
"""


def test_what_others_wrote_into_a_status_is_kept_and_spoils_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(SPOILT)
    result = fastroute("check", tmp_path)
    assert (result.exit_code, result.exception) == (0, None) or isinstance(result.exception, SystemExit)
    assert "HTTPRoute default/r at default/gw" in result.stdout
    gateway, route = json.loads(fastroute("check", tmp_path, "-o", "json").stdout)["objects"]
    assert {"type": "Foo"} in gateway["status"]["conditions"]
    assert [entry["controllerName"] for entry in route["status"]["parents"]][:3] == [
        "other.io/x",
        "other.io/y",
        "other.io/z",
    ]
