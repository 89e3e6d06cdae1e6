"""The commands as users type them: exit codes, standard output, options and their environment variables. See also
test_cli_check.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import FINE, REFUSED, fastroute
from typer.main import get_command
from typer.testing import CliRunner

from fastroute import __version__, options
from fastroute.cli import app
from fastroute.errors import SettingError
from fastroute.settings import Addressing, GraphSettings, KubernetesSettings, Limits, ServeSettings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ServeSettings]]:
    """The settings that `serve` would have started with; nothing is served."""
    told: list[ServeSettings] = []
    monkeypatch.setattr("fastroute.app.serve", lambda settings: told.append(settings) or 0)
    return told  # type: ignore[return-value]


# --- serve: options


def test_defaults_are_those_of_the_settings(served: list[ServeSettings]) -> None:
    assert fastroute("serve", "--manifests", "m").exit_code == 0
    assert served == [ServeSettings(manifests=(Path("m"),))]


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--manifests", "n"], "manifests", (Path("m"), Path("n"))),
        (["--workers", "3"], "workers", 3),
        (["--bind", "::1"], "graph.addressing.bind", ("::1",)),
        (["--metrics", "[::1]:9000"], "metrics", ("::1", 9000)),
        (["--metrics", "off"], "metrics", None),
        (["--metrics", "off"], "health", None),
        (["--metrics", "[::1]:9000"], "health", ("::1", 9902)),
        (["--health", "127.0.0.1:1"], "health", ("127.0.0.1", 1)),
        (["--health", "127.0.0.1:1"], "health_required", True),
        (["--health", "off"], "health", None),
        (["--metrics", "off"], "admin", ("127.0.0.1", 9901)),
        (["--admin", "[::1]:7"], "admin", ("::1", 7)),
        (["--admin", "[::1]:7"], "admin_required", True),
        (["--admin", "off"], "admin", None),
        (["--admin", "off"], "graph.operators", (("127.0.0.1", 9900), ("127.0.0.1", 9902))),
        (["--admin-host", "Ops.example", "--admin-host", "b"], "admin_hosts", frozenset({"ops.example", "b"})),
        (["--admin-host", "FD00::0:1", "--admin-host", "[fd00::2]"], "admin_hosts", frozenset({"fd00::1", "fd00::2"})),
        (["--metrics-series", "10"], "metrics_series", 10),
        (["--access-log", "-"], "access_log", "-"),
        (["--access-log", "off"], "access_log", None),
        (["--drain-delay", "5s"], "drain_delay", 5.0),
        (["--drain-timeout", "1m"], "drain_timeout", 60.0),
        (["--trusted-proxies", "10.0.0.0/8", "--trusted-proxies", "::1"], "trusted_proxies", ("10.0.0.0/8", "::1/128")),
        (["--proxy-protocol"], "proxy_protocol", True),
        (["--merge-slashes"], "merge_slashes", True),
        (["--controller-name", "a/b"], "graph.controller_name", "a/b"),
        (["--gateway", "infra/edge"], "graph.gateways", frozenset({"infra/edge"})),
        (["--bind", "0.0.0.0"], "graph.addressing.bind", ("0.0.0.0",)),
        (["--address", "192.0.2.1"], "graph.addressing.addresses", ("192.0.2.1",)),
        (["--address-pool", "192.0.2.0/24"], "graph.addressing.pool", "192.0.2.0/24"),
        (["--port-offset", "8000"], "graph.addressing.port_offset", 8000),
        (["--log-level", "debug"], "log.level", "debug"),
        (["--log-format", "json"], "log.format", "json"),
        (["--max-head", "16KiB"], "limits.max_head", 16384),
        (["--max-fields", "50"], "limits.max_fields", 50),
        (["--max-target", "1KiB"], "limits.max_target", 1024),
        (["--max-body", "1MiB"], "limits.max_body", 1 << 20),
        (["--head-timeout", "2s"], "limits.head_timeout", 2.0),
        (["--body-idle-timeout", "500ms"], "limits.body_idle_timeout", 0.5),
        (["--idle-timeout", "5m"], "limits.idle_timeout", 300.0),
        (["--connect-timeout", "250ms"], "limits.connect_timeout", 0.25),
        (["--upstream-idle-timeout", "1m30s"], "limits.upstream_idle_timeout", 90.0),
        (["--tunnel-idle-timeout", "2h"], "limits.tunnel_idle_timeout", 7200.0),
        (["--udp-idle-timeout", "10s"], "limits.udp_idle_timeout", 10.0),
        (["--max-flows", "1000"], "limits.max_flows", 1000),
        (["--max-connections", "100"], "limits.max_connections", 100),
        (["--max-connections-per-client", "5"], "limits.max_connections_per_client", 5),
        (["--max-connection-age", "1h"], "limits.max_connection_age", 3600.0),
        (["--max-requests-per-connection", "1000"], "limits.max_requests_per_connection", 1000),
        (["--max-streams", "1000"], "limits.max_streams", 1000),
        (["--min-body-rate", "2KiB/s"], "limits.min_body_rate", 2048),
        (["--min-body-rate", "off"], "limits.min_body_rate", 0),
        (["--max-handshakes", "10"], "limits.max_handshakes", 10),
        (["--max-buffered", "64MiB"], "limits.max_buffered", 64 << 20),
    ],
)
def test_every_option_sets_its_field_by_word_and_by_variable(
    served: list[ServeSettings], words: list[str], field: str, value: object
) -> None:
    assert fastroute("serve", "--manifests", "m", *words).exit_code == 0
    name, given = words[0], words[1::2] or ["true"]
    if name != "--manifests":
        variable = "FASTROUTE_" + name.strip("-").upper().replace("-", "_")
        assert fastroute("serve", "--manifests", "m", **{variable: " ".join(given)}).exit_code == 0
        assert served[1] == served[0]
    found: Any = served[0]
    for part in field.split("."):
        found = getattr(found, part)
    assert found == value


def test_paths_in_a_variable_stand_between_colons(served: list[ServeSettings]) -> None:
    assert fastroute("serve", FASTROUTE_MANIFESTS="a:b c").exit_code == 0
    assert served[0].manifests == (Path("a"), Path("b c"))


def test_every_limit_is_an_option() -> None:
    assert [option.parameter for option in options.LIMITS] == list(Limits.__struct_fields__)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--manifests", "m", "--workers", "0"],
        ["--manifests", "m", "--max-head", "17MiB"],
        ["--manifests", "m", "--max-target", "4GiB"],
        ["--manifests", "m", "--max-fields", "100000000"],
        ["--manifests", "m", "--max-connections", "4294967296"],
        ["--manifests", "m", "--max-handshakes", "4294967296"],
        ["--manifests", "m", "--head-timeout", "5"],
        ["--manifests", "m", "--bind", "localhost"],
        ["--manifests", "m", "--nonsense"],
        ["--manifests", "m", "--admin", "9901"],
        ["--manifests", "m", "--admin-host", "ops.example:9901"],
        ["--manifests", "m", "--admin-host", "[fd00::1]:9901"],
        ["--manifests", "m", "--admin-host", "fd00::1::2"],
        ["--manifests", "m", "--kubernetes"],
        ["--manifests", "m", "--kubeconfig", "k"],
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    result = fastroute("serve", *words)
    assert result.exit_code == 2 or isinstance(result.exception, SettingError)


@pytest.mark.parametrize(
    "words", [["--kubernetes"], ["--kubernetes", "--context", "c"], ["--kubeconfig", "k", "--context", "c"]]
)
def test_in_a_cluster_everybody_is_served_and_nothing_is_assumed(
    served: list[ServeSettings], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.options._IPV6", Path(__file__))
    assert fastroute("serve", *words).exit_code == 0
    operators = (("::", 9900), ("::", 9902), ("127.0.0.1", 9901))
    addressing = Addressing(bind=("0.0.0.0", "::"))
    graph = GraphSettings(class_name=None, addressing=addressing, local_endpoints=False, operators=operators)
    file, context = Path("k") if "k" in words else None, "c" if "c" in words else None
    kubernetes = KubernetesSettings(kubeconfig=file, context=context)
    assert served == [ServeSettings(kubernetes=kubernetes, graph=graph, metrics=("::", 9900), health=("::", 9902))]
    assert fastroute("serve", "--status-lease", "a/b", "--infrastructure", "--kubernetes").exit_code == 0
    asked = served.pop()
    assert asked.kubernetes == KubernetesSettings(status_lease="a/b", infrastructure=True)
    assert asked.graph.infrastructure
    assert fastroute("serve", "--allow-local-endpoints", "--kubernetes").exit_code == 0
    assert served.pop().graph.local_endpoints
    variables = {"FASTROUTE_KUBERNETES": "1", "FASTROUTE_METRICS": "127.0.0.1:1", "FASTROUTE_BIND": "::1"}
    assert fastroute("serve", **variables).exit_code == 0
    assert served[1].kubernetes == KubernetesSettings()
    assert (served[1].metrics, served[1].graph.addressing.bind) == (("127.0.0.1", 1), ("::1",))


def test_in_a_cluster_without_ipv6_nobody_asks_for_it(
    served: list[ServeSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fastroute.options._IPV6", tmp_path / "none")
    assert fastroute("serve", "--kubernetes").exit_code == 0
    assert served[0].graph.addressing.bind == ("0.0.0.0",)


def test_a_pod_follows_its_cluster_unless_it_is_given_manifests(
    served: list[ServeSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastroute.apiserver.account.in_pod", lambda: True)
    assert fastroute("serve").exit_code == 0
    assert fastroute("serve", "--manifests", "m").exit_code == 0
    assert [told.kubernetes for told in served] == [KubernetesSettings(), None]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--manifests", "m", "--watch-namespace", "red"), "give only the files or folders of these namespaces"),
        (("--kubernetes", "--watch-namespace", "red", "--gateway", "blue/web"), "Add --watch-namespace blue"),
        (("--kubernetes", *(f"--watch-namespace=n{i}" for i in range(33))), "33 namespaces, but at most 32"),
    ],
    ids=["manifests", "gateway-elsewhere", "too-many"],
)
def test_namespaces_that_cannot_be_watched_are_an_error(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        CliRunner().invoke(app, ["serve", *words], catch_exceptions=False)


def test_a_namespace_is_watched_by_its_name(served: list[ServeSettings]) -> None:
    assert fastroute("serve", "--kubernetes", "--watch-namespace", "red", "--watch-namespace", "blue").exit_code == 0
    assert served[0].graph.watched == {"red", "blue"}
    assert fastroute("serve", "--kubernetes", "--watch-namespace", "Red").exit_code == 2
    assert fastroute("check", "m", "--watch-namespace", "red").exit_code != 0


def test_nothing_to_serve_names_both_ways_out() -> None:
    with pytest.raises(SettingError, match="--manifests PATH, or --kubernetes"):
        CliRunner().invoke(app, ["serve"], catch_exceptions=False)


# --- explain


def test_explain_tells_shares_and_near_misses() -> None:
    result = fastroute("explain", "GET", "http://x/fruits", "--manifests", FINE)
    assert result.exit_code == 0
    assert "forward" in result.stdout
    assert re.search(r"bananas/banana-echo:80 +70 +7/10 \(70.00%\) +127.0.0.1:18002, 127.0.0.2:18002", result.stdout)


def test_explain_as_json_has_the_shape_that_is_promised() -> None:
    result = fastroute("explain", "get", "http://x/refunds", "--manifests", REFUSED, "-o", "json", "-H", "X-A: b")
    told = json.loads(result.stdout)
    assert " ".join(told) == ("decision status reason gateway listener route rule match backends filters considered")
    assert (told["decision"], told["status"], told["reason"]) == ("respond", 500, "reference_refused")
    assert told["backends"][0]["share"] == 1
    assert {"backend", "weight", "share", "endpoints", "status", "reason"} <= set(told["backends"][0])


def test_explain_shows_filters_and_redirects(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(
        """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.example.com"}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: infra}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /a}
      method: GET
      headers: [{name: x-a, value: b}]
      queryParams: [{name: q, value: v}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-b, value: c}], remove: [x-c]}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
    backendRefs: [{name: missing, port: 80}]
  - matches: [{path: {type: Exact, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
"""
    )
    asked = ("--manifests", tmp_path, "-H", "X-A: b")
    rewritten = fastroute("explain", "GET", "http://a.example.com/a/x?q=v", *asked).stdout
    assert "set x-b: c; remove x-c" in rewritten
    assert "path /b/x" in rewritten
    assert "header x-a = b" in rewritten
    assert "query q = v" in rewritten
    assert "method GET" in rewritten
    redirected = fastroute("explain", "GET", "http://a.example.com/old", *asked).stdout
    assert "redirect: 301" in redirected
    assert "location https://a.example.com/old" in redirected
    lost = fastroute("explain", "GET", "http://example.org/", *asked).stdout
    assert "respond: 404 no_listener" in lost
    assert "infra/gw listener http" in lost


@pytest.mark.parametrize(
    ("variable", "decision"),
    [
        ("X-Team: b and c", "forward"),
        ("X-Team:b and c", "forward"),
        ("\nX-Other: a\r\n  X-Team: b and c\n\n", "forward"),
        ("X-Other: a X-Team: b and c", "respond"),
        ("X-Team: b", "respond"),
        ("", "respond"),
    ],
)
def test_headers_in_a_variable_stand_one_a_line(tmp_path: Path, variable: str, decision: str) -> None:
    shutil.copytree(FINE, tmp_path, dirs_exist_ok=True)
    infra = tmp_path / "infra.yaml"
    matched = "headers: [{name: X-Team, value: b and c}]"
    infra.write_text(infra.read_text().replace("path: {type: PathPrefix, value: /fruits}", matched))
    words = ("explain", "GET", "http://x/fruits", "--manifests", tmp_path, "-o", "json")
    assert json.loads(fastroute(*words, FASTROUTE_HEADER=variable).stdout)["decision"] == decision


def test_explain_of_one_gateway() -> None:
    told = fastroute("explain", "GET", "http://x/fruits", "--manifests", FINE, "--gateway", "infra/other", "-o", "json")
    assert json.loads(told.stdout)["decision"] == "respond"


# --- the rest


def test_version_and_help() -> None:
    assert fastroute("--version").stdout == f"fastroute {__version__}\n"
    for command in ("serve", "check", "explain", "demo"):
        assert fastroute(command, "--help").exit_code == 0
    words = fastroute("serve", "--help").stdout
    assert all(option.name in words for option in options.SERVE)


def test_the_module_is_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "fastroute", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == f"fastroute {__version__}\n"


def test_the_shell_completes() -> None:
    asking = {"_FASTROUTE_COMPLETE": "complete_bash", "COMP_WORDS": "fastroute che", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "fastroute"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **asking})
    assert found.stdout.split() == ["check"]


def test_demo_gives_the_exit_code_of_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.demo.tour.tour", lambda *, once: 1 if once else 0)
    assert fastroute("demo", "--once").exit_code == 1
    assert fastroute("demo").exit_code == 0


def test_every_option_is_a_variable() -> None:
    for command in get_command(app).commands.values():  # type: ignore[attr-defined]
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                assert option.envvar == "FASTROUTE_" + option.opts[0].removeprefix("--").replace("-", "_").upper()
    assert json.loads(fastroute("check", FINE, FASTROUTE_OUTPUT="json").stdout)["problems"] == []


def test_it_is_a_plugin_of_kubectl() -> None:
    """kubectl runs the program kubectl-NAME for `kubectl NAME`."""
    program = Path(sys.executable).parent / "kubectl-fastroute"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == f"fastroute {__version__}\n"
