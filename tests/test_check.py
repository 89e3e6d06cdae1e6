"""`fastroute check` never succeeds without a reason, reads standard input, and can print a summary."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from fastroute.cli import app

EXAMPLES = Path(__file__).parent.parent / "examples"
FINE = EXAMPLES / "cross-namespace"
GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: CLASS
  listeners: [{name: web, port: 80, protocol: HTTP}]
"""
THEIRS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/other}
---
"""


def check(*words: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, words)], input=stdin)


def report(*words: object, stdin: str | bytes | None = None) -> dict[str, Any]:
    return json.loads(check(*words, "-o", "json", stdin=stdin).stdout)  # type: ignore[no-any-return]


def warnings(*words: object, stdin: str | bytes | None = None) -> list[tuple[str, str]]:
    return [(each["reason"], each["message"]) for each in report(*words, stdin=stdin)["warnings"]]


# --- no success without a reason


def test_an_empty_folder(tmp_path: Path) -> None:
    assert warnings(tmp_path) == [
        ("NothingRead", "contains no file of *.yaml, *.yml, *.json"),
        ("NothingJudged", "No object was checked: there is no Gateway."),
    ]
    assert check(tmp_path).exit_code == 0
    assert check(tmp_path, "--strict").exit_code == 1


def test_an_empty_folder_beside_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    found = report(FINE, tmp_path / "empty", tmp_path / "other.yaml")
    assert [(each["reason"], each["file"]) for each in found["warnings"]] == [
        ("NothingRead", str(tmp_path / "empty")),
        ("NothingRead", str(tmp_path / "other.yaml")),
    ]
    assert warnings(FINE, FINE / "infra.yaml") == []


def test_a_kind_that_looks_like_one_of_ours(tmp_path: Path) -> None:
    shutil.copytree(FINE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "typo.yaml").write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRout\nmetadata: {name: a, namespace: b}\n"
    )
    [warning] = report(tmp_path)["warnings"]
    assert warning["object"] == {"kind": "HTTPRout", "namespace": "b", "name": "a"}
    assert (warning["reason"], warning["field"], warning["line"]) == ("UnknownKind", "kind", 2)
    assert "did you mean gateway.networking.k8s.io/v1 HTTPRoute?" in warning["message"]
    assert check(tmp_path, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("manifests", "words", "why"),
    [
        (THEIRS, [], "there is no Gateway"),
        (
            THEIRS + GATEWAY.replace("CLASS", "theirs"),
            [],
            "no Gateway has a class of controller fastroute.dev/gateway",
        ),
        (GATEWAY.replace("CLASS", "none"), [], "not served: Gateway infra/edge"),
    ],
)
def test_nothing_judged_says_why(tmp_path: Path, manifests: str, words: list[str], why: str) -> None:
    (tmp_path / "m.yaml").write_text(manifests)
    [message] = [message for reason, message in warnings(tmp_path, *words) if reason == "NothingJudged"]
    assert why in message


def test_text_names_each_warning(tmp_path: Path) -> None:
    lines = check(tmp_path).stdout.splitlines()
    assert lines[:2] == [
        f"warning: {tmp_path}: contains no file of *.yaml, *.yml, *.json [NothingRead]",
        "warning: No object was checked: there is no Gateway. [NothingJudged]",
    ]


# --- standard input


def rendered() -> str:
    """A directory of manifests in the form that `helm template` prints."""
    return "".join(f"---\n# Source: {path.name}\n{path.read_text()}" for path in sorted(FINE.rglob("*.yaml")))


def test_standard_input_is_a_file() -> None:
    assert report("-", stdin=rendered())["objects"] == report(FINE)["objects"]
    assert check("-", "--strict", stdin=rendered()).exit_code == 0


def test_lines_of_standard_input_are_right() -> None:
    text = rendered().replace("weight: 30", "weight: -1")
    [problem] = report("-", stdin=text)["problems"]
    assert (problem["file"], problem["field"]) == ("<stdin>", "spec.rules[0].backendRefs[1].weight")
    assert "weight: -1" in text.splitlines()[problem["line"] - 1]
    [warning] = report("-", stdin=rendered().replace("weight: 30", "weight: 0"))["warnings"]
    assert warning["file"] == "<stdin>"
    assert "weight: 30" in rendered().splitlines()[warning["line"] - 1]
    assert f"\n<stdin>:{problem['line']}: HTTPRoute infra/fruits: spec.rules" in check("-", stdin=text).stdout


def test_standard_input_may_be_json() -> None:
    items = list(yaml.safe_load_all(rendered()))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item for item in items if item]}, indent=4)
    assert report("-", stdin=text)["objects"] == report(FINE)["objects"]
    assert report("-", stdin=text.replace("/", "\\/"))["objects"] == report(FINE)["objects"]


def test_standard_input_stands_beside_paths(tmp_path: Path) -> None:
    shutil.copytree(FINE, tmp_path, dirs_exist_ok=True)
    infra = (tmp_path / "infra.yaml").read_text()
    (tmp_path / "infra.yaml").unlink()
    assert report("-", tmp_path, "-", stdin=infra)["objects"] == report(FINE)["objects"]
    [problem] = report(FINE, "-", stdin=GATEWAY)["problems"]
    assert (problem["file"], problem["line"]) == ("<stdin>", 1)
    assert "is also defined at" in problem["message"]


@pytest.mark.parametrize(("stdin", "count"), [("", 0), ("# nothing\n", 0), (b"\xff", 1), ("a: [", 1)])
def test_standard_input_that_holds_nothing(stdin: str | bytes, count: int) -> None:
    found = report("-", stdin=stdin)
    assert len(found["problems"]) == count
    assert "NothingJudged" in [each["reason"] for each in found["warnings"]]


def test_explain_reads_standard_input_too() -> None:
    words = ["explain", "GET", "http://x/fruits", "--manifests", "-", "-o", "json"]
    told = json.loads(CliRunner().invoke(app, words, input=rendered()).stdout)
    assert (told["decision"], told["route"]) == ("forward", "infra/fruits")


# --- summary


def test_a_summary_of_good_manifests_is_a_line_per_gateway() -> None:
    assert check("--summary", FINE).stdout == (
        "Gateway infra/edge: fine; 1 listener, 1 route\n3 objects, 0 problems, 0 warnings\n"
    )


def test_a_summary_shows_what_is_wrong() -> None:
    result = check("--summary", EXAMPLES / "shared-gateway")
    lines = result.stdout.splitlines()
    assert lines[0] == "Gateway infra/shared: fine; 1 listener, 3 routes (1 with problems)"
    assert lines[1].startswith(f"{EXAMPLES}/shared-gateway/cherries.yaml:14: HTTPRoute cherries/cherries: ")
    assert result.stdout.count("\nallowedRoutes:\n") == 1
    assert result.exit_code == 1


def test_a_summary_names_the_bad_conditions_of_a_gateway(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        GATEWAY.replace("CLASS", "fastroute").replace("protocol: HTTP", "protocol: a.example/own")
    )
    assert check("--summary", tmp_path).stdout.splitlines()[0] == (
        "Gateway infra/edge: Accepted=False (ListenersNotValid), Programmed=False (Invalid), "
        "Accepted=False (UnsupportedProtocol); 1 listener, 0 routes"
    )


def test_a_summary_is_text() -> None:
    result = check("--summary", FINE, "-o", "json")
    assert result.exit_code == 2
    assert "--summary" in result.output
