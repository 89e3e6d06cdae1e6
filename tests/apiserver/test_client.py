"""How a client connects and authenticates to an API server: kubeconfigs, pods, exec plugins, renewed tokens; requests
and streams, and how they end."""

import json
import socket
import stat
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio
from kubernetes.config import incluster_config

from fastroute.apiserver import account as accounts
from fastroute.apiserver import client as clients
from fastroute.apiserver.account import Account, in_pod, service_account_uid
from fastroute.apiserver.client import ApiError, Client, Stream
from fastroute.errors import SettingError
from fastroute.resources.meta import Key
from fastroute.writing.writing import lease_of


class Server(ThreadingHTTPServer):
    """Accepts one token; answers by path, and records the requests."""

    daemon_threads = True
    token = "first"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.asked: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.ends = threading.Event()  # ends all responses that are still being sent

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect: the tests want them to."""


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *words: Any) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body, dict(self.headers)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer(401, b'{"reason":"Unauthorized","message":"who are you?"}')
        elif self.path == "/slow":
            self.server.ends.wait(60)
        elif self.path == "/busy":
            self.answer(429, b"not json", "Retry-After: 3")
        elif self.path == "/conflict":
            self.answer(409, b'{"reason":"Conflict","message":"changed meanwhile","code":409}')
        elif self.path == "/once":
            self.answer(200, b"{}")
            self.close_connection = True  # without announcing it, as a server that restarts
        elif self.path.startswith("/lines"):
            self.lines()
        else:
            self.answer(200, b"{}")

    do_PUT = do_GET  # noqa: N815

    def answer(self, status: int, content: bytes, field: str = "") -> None:
        self.send_response(status)
        if field:
            self.send_header(*field.split(": "))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def lines(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"one\ntw", b"o\n", b"three\nfour\nfi"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.05)
        if self.path == "/lines/cut":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.path == "/lines/ended":
            self.wfile.write(b"4\r\nve\n\n\r\n0\r\n\r\n")
        else:
            self.server.ends.wait(5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    one = Server()
    threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    yield one
    one.ends.set()
    one.shutdown()
    one.server_close()


def kubeconfig(folder: Path, server: Server, user: dict[str, Any]) -> Path:
    file = folder / "kubeconfig"
    url = f"http://127.0.0.1:{server.server_port}"
    contexts = [
        {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "ours"}},
        {"name": "two", "context": {"cluster": "c", "user": "u"}},
    ]
    parts = {"clusters": [{"name": "c", "cluster": {"server": url}}], "users": [{"name": "u", "user": user}]}
    file.write_text(json.dumps({"current-context": "one", "contexts": contexts, **parts}))
    return file


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Client:
    return Client(Account(kubeconfig(tmp_path, server, {"token": "first"})))


# --- authentication


def test_replicas_have_one_identity_and_clusters_different_ones(server: Server, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, server, {"token": "first"})
    one = Account(file).installation("a/b", "infra/fastroute")
    assert Account(file).installation("a/b", "infra/fastroute") == one
    assert len(one) == 16
    others = {Account(file).installation("a/c", "infra/fastroute"), Account(file).installation("a/b", "x/fastroute")}
    written = json.loads(file.read_text())
    written["clusters"][0]["cluster"]["server"] = "https://10.96.0.1:443"  # as in a pod of any cluster
    for authority in ("b25l", "dHdv"):
        written["clusters"][0]["cluster"]["certificate-authority-data"] = authority
        file.write_text(json.dumps(written))
        others.add(Account(file).installation("a/b", "infra/fastroute"))
    assert len(others - {one}) == 4


def token_of(claims: object) -> str:
    parts = ({"alg": "RS256"}, claims, "signature")
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


BOUND = {"iss": "https://kubernetes.default.svc", "kubernetes.io": {"serviceaccount": {"name": "s", "uid": "1-2"}}}
LEGACY = {"kubernetes.io/serviceaccount/service-account.uid": "1-2"}


def test_a_new_ca_or_token_does_not_change_the_identity_of_a_service_account(server: Server, tmp_path: Path) -> None:
    def identity(claims: object, authority: str, host: str = "10.96.0.1") -> str:
        file = kubeconfig(tmp_path, server, {"token": token_of(claims)})
        written = json.loads(file.read_text())
        cluster = {"server": f"https://{host}", "certificate-authority-data": authority}
        file.write_text(json.dumps(written | {"clusters": [{"name": "c", "cluster": cluster}]}))
        return Account(file).installation("a/b", "infra/fastroute")

    first = identity(BOUND, "b25l")
    assert identity(BOUND, "dHdv") == identity(BOUND | {"exp": 5}, "b25l", "10.96.0.2") == identity(LEGACY, "") == first
    assert identity({"kubernetes.io": {"serviceaccount": {"uid": "3-4"}}}, "b25l") != first


@pytest.mark.parametrize(
    ("authorization", "uid"),
    [
        (f"Bearer {token_of(BOUND)}", "1-2"),
        (f"Bearer {token_of(LEGACY)}", "1-2"),
        (f"Bearer {token_of({'sub': 'jane'})}", None),
        (f"Bearer {token_of({'kubernetes.io': {'serviceaccount': {'uid': 7}}})}", None),
        (f"Bearer {token_of(['no', 'claims'])}", None),
        ("Bearer a.%%%.c", None),
        ("Bearer a.bé.c", None),
        ("Bearer opaque", None),
        ("Basic amFuZTpzZWNyZXQ=", None),
        ("", None),
    ],
)
def test_the_uid_of_a_service_account_is_in_its_token(authorization: str, uid: str | None) -> None:
    assert service_account_uid(authorization) == uid


def test_a_context_says_which_namespace_is_ours(server: Server, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, server, {"token": "first"})
    assert Account(file).namespace == "ours"
    assert Account(file, "two").namespace == "default"
    assert Account(file).host == f"http://127.0.0.1:{server.server_port}"


def test_with_a_kubeconfig_nothing_is_written_unless_a_lease_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a pod: the kubeconfig may be that of another cluster."""
    account = Account(kubeconfig(tmp_path, server, {"token": "first"}))
    for pod in (False, True):
        monkeypatch.setattr(accounts, "in_pod", lambda pod=pod: pod)
        assert lease_of(None, account) is None
        assert lease_of("a/b", account) == Key("a", "b")


@pytest.mark.parametrize("text", [None, "", "{", "[1]", "{}", "current-context: x"])
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingError, match=f"--kubeconfig {file}"):
        Account(file)


def test_a_context_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--context nowhere"):
        Account(kubeconfig(tmp_path, server, {"token": "first"}), "nowhere")


def test_without_a_pod_and_a_kubeconfig_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    assert not in_pod()
    with pytest.raises(SettingError, match="--kubeconfig PATH"):
        Account()


def test_a_pod_is_its_service_account_whose_token_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in {"token": "first\n", "namespace": "ours", "ca.crt": "certificates"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(accounts, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert in_pod()
    account = Account()
    assert (account.host, account.namespace) == ("https://[fd00::1]:443", "ours")
    assert lease_of(None, account) == Key("ours", "fastroute")
    assert lease_of("a/b", account) == Key("a", "b")
    assert account.authorization() == "bearer first"
    (tmp_path / "token").write_text("second")
    account.reload()
    assert account.authorization() == "bearer second"
    (tmp_path / "token").write_text("")
    with pytest.raises(SettingError, match="Token file"):
        account.reload()
    assert account.authorization() == "bearer second"


def test_the_pods_of_a_service_account_have_one_identity_although_the_ca_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    test_a_pod_is_its_service_account_whose_token_is_read_again(monkeypatch, tmp_path)
    found = set()
    for authority, token in (("old", "opaque"), ("new", "opaque"), ("old", token_of(BOUND)), ("new", token_of(BOUND))):
        (tmp_path / "token").write_text(token)
        (tmp_path / "ca.crt").write_text(authority)
        found.add(Account().installation("a/b", "infra/fastroute"))
    assert len(found) == 3


async def test_a_token_that_was_renewed_is_found_when_the_old_one_is_refused(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    client = Client(Account(kubeconfig(tmp_path, server, {"tokenFile": str(token)})))
    assert await client.request("GET", "/x") == b"{}"
    server.token = "second"
    token.write_text("second")
    assert await client.request("GET", "/x") == b"{}"
    server.token = "third"
    with pytest.raises(ApiError, match="who are you") as refused:
        await client.request("GET", "/x")
    assert refused.value.status == 401


async def test_an_exec_plugin_is_asked_for_a_token(server: Server, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "first"},
    }
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    client = Client(Account(kubeconfig(tmp_path, server, {"exec": exec_})))
    assert await client.request("GET", "/x") == b"{}"


# --- requests


async def test_a_request_says_what_it_is_told_to(server: Server, client: Client) -> None:
    await client.request("PUT", "/a", {"b": 1}, query={"c": "d e"}, content_type="application/merge-patch+json")
    [(method, path, body, fields)] = server.asked
    assert (method, path, body) == ("PUT", "/a?c=d+e", b'{"b":1}')
    assert fields["Content-Type"] == "application/merge-patch+json"
    assert fields["User-Agent"].startswith("fastroute/")


@pytest.mark.parametrize(
    ("path", "status", "reason", "message", "retry_after"),
    [
        ("/conflict", 409, "Conflict", "changed meanwhile", None),
        ("/busy", 429, "Too Many Requests", "not json", 3.0),
    ],
)
async def test_a_refusal_is_an_error_that_says_why(
    client: Client, path: str, status: int, reason: str, message: str, retry_after: float | None
) -> None:
    with pytest.raises(ApiError) as refused:
        await client.request("GET", path)
    error = refused.value
    assert (error.status, error.reason, error.message, error.retry_after) == (status, reason, message, retry_after)


async def test_no_answer_is_an_error_in_time(client: Client) -> None:
    with trio.fail_after(30), pytest.raises(ApiError) as late:
        await client.request("GET", "/slow", timeout=0.2)
    assert late.value.status == 0


async def test_who_is_cancelled_goes_on_at_once(client: Client) -> None:
    with trio.fail_after(30), trio.move_on_after(0.1) as moved:
        await client.request("GET", "/slow", timeout=3600.0)
    assert moved.cancelled_caught


async def test_a_connection_that_was_closed_while_idle_is_no_error(client: Client) -> None:
    for _ in range(3):
        assert await client.request("GET", "/once") == b"{}"


async def test_nobody_there_is_an_error_that_names_the_server(server: Server, client: Client) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(ApiError, match=r"GET http://127\.0\.0\.1:\d+/x: .*refused"):
        await client.request("GET", "/x")


# --- streams


async def read(client: Client, path: str) -> list[bytes]:
    found: list[bytes] = []
    with client.stream(path, {}) as stream:
        await stream.opened()
        while lines := await stream.lines():
            found += [line.content for line in lines]
    return found


async def contents(stream: Stream) -> list[bytes]:
    return [line.content for line in await stream.lines()]


async def test_a_line_has_the_time_of_its_arrival(client: Client) -> None:
    before = trio.current_time()
    with client.stream("/lines", {}) as stream:
        while not stream._pieces:  # noqa: ASYNC110 (a thread reads them)
            await trio.sleep(0.01)
        arrived = trio.current_time()
        await trio.sleep(0.05)  # the task does something else
        line, *_ = await stream.lines()
    assert before < line.arrived < arrived


async def test_lines_come_whole_however_they_were_cut(client: Client) -> None:
    assert await read(client, "/lines/ended") == [b"one", b"two", b"three", b"four", b"five", b""]


async def test_a_stream_that_is_cut_is_an_error_after_what_came(client: Client) -> None:
    found: list[bytes] = []
    with client.stream("/lines/cut", {}) as stream, pytest.raises(ApiError) as cut:  # noqa: PT012
        while lines := await stream.lines():
            found += [line.content for line in lines]
    assert cut.value.status == 0
    assert found == [b"one", b"two", b"three", b"four"]


async def test_a_stream_that_is_refused_is_an_error_before_any_line(client: Client) -> None:
    with client.stream("/conflict", {}) as stream, pytest.raises(ApiError, match="changed meanwhile"):
        await stream.opened()


async def test_leaving_a_stream_ends_its_thread(client: Client) -> None:
    before = threading.active_count()
    with client.stream("/lines", {}) as stream:
        assert await contents(stream) == [b"one"]
    with trio.fail_after(60):
        while threading.active_count() > before + 1:  # noqa: ASYNC110 (trio keeps an idle thread for the next use)
            await trio.sleep(0.01)


async def test_a_stream_without_a_word_is_dead(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SILENCE", 0.2)
    with pytest.raises(ApiError, match="timed out"):
        await read(client, "/lines")


async def test_who_does_not_take_lines_is_not_given_more(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AHEAD", 1)
    with client.stream("/lines/ended", {}) as stream:
        await trio.sleep(0.5)
        assert await contents(stream) == [b"one"]
        assert await contents(stream) == [b"two"]
