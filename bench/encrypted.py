"""TLS on both sides: fastroute and other proxies side by side.

    python -m bench.encrypted [--rounds 7] [--seconds 3]

HTTP/2 on both sides, with h2load and nghttpd, beside HAProxy; HTTP/1.1 on both sides, with wrk and nginx, beside nginx.
Certificates are those of P-256, the cipher is TLS_AES_128_GCM_SHA256 on all connections, and each proxy verifies the
certificate and the name of the backend. `resumed handshake` is the row of that name of the part `secure`.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.certificate import HOST, Pems, secret_document, self_signed
from bench.compare import CONNECTIONS, OURS, Cost, Effort
from bench.http2 import SMALL, h2load, http2_backend_command
from bench.install import require
from bench.load import closed_loop
from bench.peers import PEERS, Peer, Running, Setup, altered, backend_command
from bench.process import proxy_and_load_core
from bench.report import print_costs
from bench.rounds import Row, Spell, in_rounds, per_request, side_by_side
from bench.secure import LISTENER, OPEN_LISTENER, wait_served

CIPHER = "TLS_AES_128_GCM_SHA256"
OVER_TLS = msgspec.structs.replace(SMALL, scheme="https")

_POLICY = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: bench, name: authority}
data: {ca.crt: CHAIN}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {namespace: bench, name: backend}
spec:
  targetRefs: [{group: "", kind: Service, name: backend}]
  validation: {hostname: HOST, caCertificateRefs: [{group: "", kind: ConfigMap, name: authority}]}
"""

_NGINX_PROXY_TLS = f"""proxy_pass https://backend;
    proxy_ssl_verify on; proxy_ssl_trusted_certificate FOLDER/chain.pem;
    proxy_ssl_name {HOST}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;"""
_NGINX_TLS = f"""ssl reuseport backlog=4096;
    ssl_certificate FOLDER/chain.pem; ssl_certificate_key FOLDER/key.pem;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {CIPHER}"""
_HAPROXY_SERVER = f" ssl verify required ca-file FOLDER/chain.pem sni str({HOST}) verifyhost {HOST} alpn h2 proto h2"
_OPENSSL = f"""\
openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = limits
[limits]
Ciphersuites = {CIPHER}
"""


def _with_certificate(pems: Pems, peer: Peer) -> Peer:
    """The proxy with the files of the certificate in its folder."""

    def command(setup: Setup) -> list[str]:
        write_pems(setup.folder, pems)
        return peer.command(setup)

    return Peer(peer.name, command, peer.program)


def write_pems(folder: Path, pems: Pems) -> None:
    for name, pem in (*pems._asdict().items(), ("both", pems.chain + pems.key)):
        (folder / f"{name}.pem").write_bytes(pem)


def _fastroute(pems: Pems) -> Peer:
    def command(setup: Setup) -> list[str]:
        words = PEERS[OURS].command(setup)
        world = setup.folder / "manifests" / "world.yaml"
        policy = _POLICY.replace("CHAIN", msgspec.json.encode(pems.chain.decode()).decode()).replace("HOST", HOST)
        text = world.read_text()
        if OPEN_LISTENER not in text:
            raise AssertionError(f"{world} has no {OPEN_LISTENER!r}")
        world.write_text(text.replace(OPEN_LISTENER, LISTENER) + policy + secret_document("edge", pems))
        return [*words[: words.index("--port-offset")], "--port-offset", str(setup.port - 443), *_after(words)]

    return Peer(OURS, command, PEERS[OURS].program)


def _after(words: list[str]) -> list[str]:
    return words[words.index("--port-offset") + 2 :]


def _haproxy(pems: Pems) -> Peer:
    return _with_certificate(
        pems,
        altered(
            PEERS["haproxy"],
            ("  maxconn 4000", f"  maxconn 4000\n  ssl-default-bind-ciphersuites {CIPHER}"),
            ("\n  use_backend", " ssl crt FOLDER/both.pem alpn h2,http/1.1\n  use_backend"),
            (" proto h2", _HAPROXY_SERVER),
        ),
    )


def _nginx(pems: Pems) -> Peer:
    changes = ("proxy_pass http://backend;", _NGINX_PROXY_TLS), ("reuseport backlog=4096", _NGINX_TLS)
    return _with_certificate(pems, altered(PEERS["nginx"], *changes))


def _http1_backend(pems: Pems) -> Callable[[Setup], list[str]]:
    change = (" backlog=4096", f" {_NGINX_TLS.replace('reuseport', '')}")
    return _with_certificate(pems, altered(Peer("backend", backend_command, lambda: "nginx"), change)).command


def _http2_backend(pems: Pems) -> Callable[[Setup], list[str]]:
    def command(setup: Setup) -> list[str]:
        write_pems(setup.folder, pems)
        (setup.folder / "openssl.cnf").write_text(_OPENSSL)
        files = [str(setup.folder / f"{name}.pem") for name in ("key", "chain")]
        return ["env", f"OPENSSL_CONF={setup.folder}/openssl.cnf", *http2_backend_command(setup, *files)]

    return command


def _over_http2(proxy: Running, seconds: int) -> Spell:
    return per_request(h2load(proxy, OVER_TLS, seconds))


def _over_http1(proxy: Running, seconds: int) -> Spell:
    _, core = proxy_and_load_core()
    return per_request(closed_loop(proxy, "/route-0/x", core, seconds=seconds, connections=CONNECTIONS, scheme="https"))


def measure_encrypted(effort: Effort) -> list[Cost]:
    require("h2load", "nghttpd")
    pems = self_signed()
    costs: list[Cost] = []
    for row, peers, backend, http2 in (
        (
            Row("HTTP/2 over TLS on both sides", "µs CPU/request", _over_http2),
            [_haproxy(pems)],
            _http2_backend(pems),
            True,
        ),
        (Row("HTTPS to HTTPS", "µs CPU/request", _over_http1), [_nginx(pems)], _http1_backend(pems), False),
    ):
        with side_by_side(effort.kept([_fastroute(pems), *peers]), backend, http2=http2) as proxies:
            for proxy in proxies:
                wait_served(proxy.port)
            costs += in_rounds([row], proxies, effort)
    return costs


if __name__ == "__main__":
    print_costs(__doc__, measure_encrypted)
