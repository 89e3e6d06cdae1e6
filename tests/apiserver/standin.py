"""A small API server in this process, for what a real one cannot be made to do: cut connections at a given byte, send
invalid responses, refuse on demand, list slowly, have no WatchList.

It stores objects as plain dictionaries by the path of their collection, and supports list and watch. Each test sets the
failures; otherwise it behaves like a real server (tests/cluster tests the source with one).
"""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
GROUP = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
CERTIFICATES = "certificates.k8s.io"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MEMBER = re.compile(  # one object: of a namespace, or a CRD
    r"(/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/([^/]+)/([^/]+)|/(customresourcedefinitions))/([^/]+)"
)
CUSTOM = {
    "gatewayclasses": "GatewayClass",
    "gateways": "Gateway",
    "listenersets": "ListenerSet",
    "httproutes": "HTTPRoute",
    "grpcroutes": "GRPCRoute",
    "tlsroutes": "TLSRoute",
    "tcproutes": "TCPRoute",
    "udproutes": "UDPRoute",
    "referencegrants": "ReferenceGrant",
    "backendtlspolicies": "BackendTLSPolicy",
}


class ApiServer:
    """Serves at `url` until `close`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Object]] = {}  # by collection, then "ns/name"
        self.log: list[tuple[str, Object]] = []  # (collection, event) in order; an event's version is its index + 1
        self.served: dict[str, tuple[str, ...]] = dict.fromkeys(CUSTOM, ("v1",))
        self.bundles: tuple[str, ...] = ()  # the served versions of ClusterTrustBundles
        self.telemetry: tuple[str, ...] = ()  # the served versions of XTelemetryPolicies
        self.has_watchlist = True
        self.has_bookmarks = True  # False: as a real server while nothing of the kind has changed since the watch began
        self.refusals: dict[str, int] = {}  # by collection: the status to answer with
        self.list_refusals: dict[str, int] = {}  # the same, but only for lists
        self.oldest = 0  # lower versions get 410
        self.requests: list[tuple[str, dict[str, str]]] = []  # (collection, query) of each list and watch
        self.writes: list[str] = []  # "POST /path"; all are refused
        self.before_event: Callable[[str, Object], bytes | None] = lambda collection, event: None
        self.delay = 0.0  # s before each event of a listing
        self._moved = threading.Condition()
        self._sockets: set[socket.socket] = set()
        for plural in CUSTOM:
            self.put_crd(plural)
        self._server = _Server(("127.0.0.1", 0), self)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    def reopen(self) -> None:
        """Serves on the same port again, after `close`."""
        self._server = _Server(("127.0.0.1", self.port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def cut(self) -> None:
        """Closes every connection."""
        with self._moved:
            for one in list(self._sockets):
                with contextlib.suppress(OSError):  # it was closed already
                    one.shutdown(socket.SHUT_RDWR)
            self._sockets.clear()
            self._moved.notify_all()

    # --- objects

    def put(self, collection: str, name: str, namespace: str = "default", **parts: Any) -> Object:
        """Creates or replaces an object; `parts` are its spec, status and so on."""
        with self._moved:
            here = self.objects.setdefault(collection, {})
            key = f"{namespace}/{name}"
            version = len(self.log) + 1
            metadata = {"name": name, "namespace": namespace, "uid": f"uid-{key}", **parts.pop("metadata", {})}
            kept = here.get(key)
            same = kept is not None and kept.get("spec") == parts.get("spec")
            generation = kept["metadata"]["generation"] + (not same) if kept else 1
            metadata |= {"resourceVersion": str(version), "generation": generation}
            here[key] = {**parts, "metadata": metadata}
            self.log.append((collection, {"type": "MODIFIED" if kept else "ADDED", "object": here[key]}))
            self._moved.notify_all()
            return here[key]

    def delete(self, collection: str, name: str, namespace: str = "default") -> None:
        with self._moved:
            gone = self.objects[collection].pop(f"{namespace}/{name}")
            gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(len(self.log) + 1)}}
            self.log.append((collection, {"type": "DELETED", "object": gone}))
            self._moved.notify_all()

    def put_crd(self, plural: str, release: str = "v1.6.3", group: str = GROUP) -> None:
        annotations = {f"{GROUP}/bundle-version": release}
        self.put(CRDS, f"{plural}.{group}", "", metadata={"annotations": annotations})

    def forget(self) -> None:
        """Expires all versions so far: a watch cannot resume from them."""
        with self._moved:
            self.log.append(("", {}))
            self.oldest = len(self.log)

    def backup(self) -> tuple[dict[str, dict[str, Object]], int]:
        """The current objects, for `restore`."""
        with self._moved:
            return {path: dict(here) for path, here in self.objects.items()}, len(self.log)

    def restore(self, backup: tuple[dict[str, dict[str, Object]], int]) -> None:
        """Restores objects and versions. Watches from versions that do not exist yet stay open without events."""
        with self._moved:
            self.objects = {path: dict(here) for path, here in backup[0].items()}
            del self.log[backup[1] :]
        self.cut()

    # --- for request handlers

    def events(self, collection: str, since: int, patience: float) -> tuple[list[Object], int]:
        """Waits for events after `since`; returns them, and the version reached."""
        with self._moved:
            self._moved.wait_for(lambda: any(where == collection for where, _ in self.log[since:]), patience)
            return [event for where, event in self.log[since:] if where == collection], len(self.log)

    def enter(self, connection: socket.socket) -> None:
        with self._moved:
            self._sockets.add(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: ApiServer) -> None:
        super().__init__(address, _Requests)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores broken connections: the tests want them."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *words: Any) -> None:
        pass

    def _refuse_write(self) -> None:
        self.server.api.writes.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._refuse(403)

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse_write  # noqa: N815

    def do_GET(self) -> None:
        api = self.server.api
        api.enter(self.connection)
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        _, apis, group, *rest = f"{url.path}//".split("/")
        optional = {
            CERTIFICATES: {"clustertrustbundles": api.bundles},
            EXPERIMENTAL: {"xtelemetrypolicies": api.telemetry},
        }
        served = {GROUP: api.served, **optional}.get(group)
        if apis == "apis" and served is not None and rest[1] == "":
            self._discover(served, rest[0])
        else:
            api.requests.append((url.path, query))
            if (one := MEMBER.fullmatch(url.path)) is not None:
                self._member(one[1], one[2], one[3] or one[4], one[5])
            else:
                self._collection(url.path, query)

    def _member(self, root: str, namespace: str | None, plural: str, name: str) -> None:
        api, where = self.server.api, f"{root}/{plural}"
        found = api.objects.get(where, {}).get(f"{namespace or ''}/{name}")
        if where in api.refusals:
            self._refuse(api.refusals[where])
        elif found is None:
            self._refuse(404)
        else:
            self._json(200, found)

    def _discover(self, served: dict[str, tuple[str, ...]], version: str) -> None:
        """Answers with the versions of a group, or with the resources of one version."""
        if version:
            self._json(200, {"resources": [{"name": p} for p, offered in served.items() if version in offered]})
            return
        versions = sorted({version for offered in served.values() for version in offered})
        self._json(200 if versions else 404, {"versions": [{"version": version} for version in versions]})

    def _collection(self, path: str, query: dict[str, str]) -> None:
        api = self.server.api
        plural, version = path.rpartition("/")[2], path.split("/")[3] if path.startswith(f"/apis/{GROUP}") else ""
        if path in api.refusals:
            self._refuse(api.refusals[path])
        elif version and version not in api.served.get(plural, ()):
            self._refuse(404)
        elif query.get("watch") != "1":
            if path in api.list_refusals:
                self._refuse(api.list_refusals[path])
            else:
                self._page(path, query)
        elif "sendInitialEvents" in query and not api.has_watchlist:
            self._refuse(422)
        elif "resourceVersion" in query and int(query["resourceVersion"]) < api.oldest:
            self._begin()
            self._event({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
            self._chunk(b"")
        else:
            self._watch(path, query)

    def _selected(self, path: str, query: dict[str, str]) -> list[Object]:
        field, _, value = query.get("fieldSelector", "").partition("=")
        collection, namespace = _split(path)
        found = [
            one
            for one in list(self.server.api.objects.get(collection, {}).values())
            if namespace in ("", one["metadata"]["namespace"])
        ]
        if field == "type":
            return [one for one in found if one.get("type") == value]
        return [one for one in found if field != "metadata.name" or one["metadata"]["name"] == value]

    def _page(self, path: str, query: dict[str, str]) -> None:
        api = self.server.api
        start, found = int(query.get("continue", "0")), self._selected(path, query)
        most = min(int(query.get("limit", 2)), 2)  # more than one page, even for few objects
        more = {"continue": str(start + most)} if start + most < len(found) else {}
        time.sleep(api.delay)
        metadata = {"resourceVersion": str(len(api.log)), **more}
        self._json(200, {"metadata": metadata, "items": found[start : start + most]})

    def _watch(self, path: str, query: dict[str, str]) -> None:
        api = self.server.api
        self._begin()
        if "resourceVersion" in query:
            since = int(query["resourceVersion"])
        else:
            since = len(api.log)
            for one in self._selected(path, query):
                time.sleep(api.delay)
                self._event({"type": "ADDED", "object": one}, path)
            end = {"resourceVersion": str(since), "annotations": {"k8s.io/initial-events-end": "true"}}
            self._event({"type": "BOOKMARK", "object": {"metadata": end}})
        while True:
            events, reached = api.events(_split(path)[0], since, 0.5)
            if reached < since:
                continue
            since = reached
            for event in events:
                if event["object"] in self._selected(path, query) or event["type"] == "DELETED":
                    self._event(event, path)
            if api.has_bookmarks:
                self._event({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(since)}}}, path)

    # --- bytes

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _event(self, event: Object, path: str = "") -> None:
        instead = self.server.api.before_event(path, event)
        self._chunk(json.dumps(event).encode() + b"\n" if instead is None else instead)

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def _refuse(self, status: int) -> None:
        reason = {403: "Forbidden", 404: "NotFound", 422: "Invalid"}.get(status, "Unavailable")
        self._json(status, {"kind": "Status", "code": status, "reason": reason, "message": f"{reason} on demand"})

    def _json(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _split(path: str) -> tuple[str, str]:
    """The path of the collection in all namespaces, and the namespace that a path names."""
    root, found, rest = path.partition("/namespaces/")
    namespace, _, plural = rest.partition("/")
    return (f"{root}/{plural}", namespace) if found and plural else (path, "")
