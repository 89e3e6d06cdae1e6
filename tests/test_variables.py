"""FASTROUTE_* variables: a misspelled one is an error; those that Kubernetes sets for Services are ignored."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fastroute.cli import app
from fastroute.errors import SettingError
from fastroute.variables import is_service_link, require_known

FINE = Path(__file__).parent.parent / "examples" / "cross-namespace"
KNOWN = {
    option.envvar
    for command in get_command(app).commands.values()  # type: ignore[attr-defined]
    for option in command.params
    if option.envvar
}
LINKS = {  # the variables that a kubelet sets for the Services fastroute and fastroute-metrics
    "FASTROUTE_SERVICE_HOST": "10.96.0.7",
    "FASTROUTE_SERVICE_PORT": "80",
    "FASTROUTE_SERVICE_PORT_HTTP": "80",
    "FASTROUTE_PORT": "tcp://10.96.0.7:80",
    "FASTROUTE_PORT_80_TCP": "tcp://10.96.0.7:80",
    "FASTROUTE_PORT_80_TCP_PROTO": "tcp",
    "FASTROUTE_PORT_80_TCP_PORT": "80",
    "FASTROUTE_PORT_80_TCP_ADDR": "10.96.0.7",
    "FASTROUTE_METRICS_SERVICE_HOST": "10.96.0.8",
    "FASTROUTE_METRICS_SERVICE_PORT_METRICS": "9900",
    "FASTROUTE_METRICS_PORT": "udp://[fd00::8]:53",
    "FASTROUTE_METRICS_PORT_53_UDP_ADDR": "fd00::8",
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FASTROUTE_DRAIN_DELY", "5s", "; did you mean FASTROUTE_DRAIN_DELAY?"),
        ("FASTROUTE_MANIFEST", "m", "; did you mean FASTROUTE_MANIFESTS?"),
        ("FASTROUTE_DRAIN-DELAY", "5s", "; did you mean FASTROUTE_DRAIN_DELAY?"),
        ("FASTROUTE_XYZZY", "1", ""),
        ("FASTROUTE_METRICS_PORT", "9900", "; did you mean FASTROUTE_METRICS?"),
        ("FASTROUTE_PORT_80_SCTPS", "1", ""),
    ],
)
def test_a_variable_that_no_option_has(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingError) as raised:
        require_known({"HOME": "/", name: value}, KNOWN)
    found = str(raised.value)
    assert found.startswith(f"unknown environment variable {name}")
    assert message in found


def test_all_of_them_are_named_but_not_without_end() -> None:
    with pytest.raises(SettingError) as raised:
        require_known({f"FASTROUTE_Q{number}": "" for number in range(9)}, KNOWN)
    assert str(raised.value).count("unknown environment variable") == 5
    assert str(raised.value).endswith(", and 4 more")


def test_variables_of_services_are_no_mistake() -> None:
    require_known(LINKS, KNOWN)


@pytest.mark.parametrize("value", ["", "tcp://10.0.0.1:80"])
def test_no_option_is_taken_for_a_variable_of_a_service(value: str) -> None:
    assert [name for name in KNOWN if is_service_link(name, value)] == []


@pytest.mark.parametrize(
    "words",
    [
        ["check", str(FINE)],
        ["explain", "GET", "http://x/", "--manifests", str(FINE)],
        ["serve", "--manifests", str(FINE)],
        ["demo", "--once"],
    ],
)
def test_every_command_refuses_it(words: list[str]) -> None:
    environment = {**os.environ, "FASTROUTE_STRIT": "1"}
    command = [sys.executable, "-m", "fastroute", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=30)
    assert result.returncode == 2
    assert result.stderr == (
        "fastroute: unknown environment variable FASTROUTE_STRIT; did you mean FASTROUTE_STRICT?\n"
    )


def test_a_variable_of_another_command_is_known() -> None:
    result = CliRunner().invoke(app, ["check", str(FINE)], env={"FASTROUTE_DRAIN_DELAY": "5s", **LINKS})
    assert result.exit_code == 0


def test_help_does_not_mind() -> None:
    assert CliRunner().invoke(app, ["serve", "--help"], env={"FASTROUTE_STRIT": "1"}).exit_code == 0


def test_the_demo_is_not_misled_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastroute.demo import gateway

    told: list[dict[str, str]] = []

    def start(*_: object, env: dict[str, str], **__: object) -> None:
        told.append(env)
        raise InterruptedError

    monkeypatch.setattr(gateway.subprocess, "Popen", start)
    monkeypatch.setenv("FASTROUTE_BIND", "::1")
    with pytest.raises(InterruptedError), gateway.running_gateway(FINE):
        pass
    assert [name for name in told[0] if re.match("FASTROUTE_", name)] == []
    assert told[0]["PATH"]
