"""Account: the address of an API server and the credentials for it. The official client reads them from a pod's
ServiceAccount or from a kubeconfig.

Tokens are reread by the official client (a pod's every minute, those of exec plugins when they expire). Other changes
on disk are found by `reload`, which is called after a 401. A user's kubeconfig is never written to.
"""

import hashlib
import os
import socket
import threading
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import msgspec
import urllib3
import yaml
from kubernetes import config
from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.connection import HTTPConnection

from fastroute.errors import SettingError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # mounted into every pod
SERVICE_HOST = "KUBERNETES_SERVICE_HOST"  # is set in every pod
CONNECTIONS = 64  # kept open for further requests
SOCKET_OPTIONS = (  # a connection without answers is closed after 30 s
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),  # s without traffic before the first keepalive probe
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),  # s between probes
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),  # ms for which sent data may be unacknowledged
)


def in_pod() -> bool:
    """Whether this process runs in a pod that has credentials for its API server."""
    return bool(os.environ.get(SERVICE_HOST)) and (SERVICE_ACCOUNT / "token").exists()


class Account:
    """The connections to one API server, and the credentials. Thread-safe."""

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None) -> None:
        """`kubeconfig` None: in a pod its ServiceAccount, elsewhere the user's (KUBECONFIG, ~/.kube/config).

        Raises SettingError if there is none, or it cannot be read.
        """
        self._kubeconfig, self._context = kubeconfig, context
        self._lock = threading.Lock()  # exec plugins run once, even if several requests wait for them
        self._configuration, self.namespace = self._read()
        self._pool = _pool(self._configuration)

    @property
    def is_pods_own(self) -> bool:
        """Whether the credentials are those of the ServiceAccount of this pod."""
        return self._kubeconfig is None and self._context is None and in_pod()

    @property
    def host(self) -> str:
        """ "https://10.96.0.1:443"."""
        return str(self._configuration.host)

    def installation(self, controller_name: str, lease: object) -> str:
        """The same for all replicas of an installation, and different for each cluster. Derived from the UID of the
        ServiceAccount, which stays the same when the CA or the token is replaced; without a ServiceAccount from the CA
        and the address of the API server."""
        uid = service_account_uid(self.authorization() or "")
        cluster = (b"uid", uid.encode()) if uid else (self._authority(), self.host.encode())
        parts = (*cluster, controller_name.encode(), str(lease).encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    def _authority(self) -> bytes:
        """The CA bundle; empty if there is none."""
        path = self._configuration.ssl_ca_cert
        try:
            return Path(path).read_bytes() if path else b""
        except OSError:
            return b""

    @property
    def pool(self) -> urllib3.PoolManager:
        return self._pool

    def authorization(self) -> str | None:
        """The Authorization header; None with client certificates or no credentials. May block (exec plugins)."""
        with self._lock:
            value = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return value.strip() if value else None

    def reload(self) -> None:
        """Rereads the credentials. Raises SettingError and then keeps the former ones."""
        with self._lock:
            self._configuration, self.namespace = self._read()
            self._pool = _pool(self._configuration)

    def _read(self) -> tuple[Configuration, str]:
        """The official client's configuration, and the default namespace."""
        configuration = Configuration()
        try:
            if self.is_pods_own:
                config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
                return configuration, (SERVICE_ACCOUNT / "namespace").read_text().strip() or "default"
            file = str(self._kubeconfig) if self._kubeconfig else None
            config.load_kube_config(file, self._context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
            contexts, current = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError, yaml.YAMLError, ValueError, TypeError) as error:
            raise SettingError(f"{self._told()}: {error}") from error
        wanted = self._context or current.get("name")
        chosen: dict[str, Any] = next((each for each in contexts if each.get("name") == wanted), {})
        return configuration, chosen.get("context", {}).get("namespace") or "default"

    def _told(self) -> str:
        if self._kubeconfig is None and self._context is None:
            return "--kubernetes needs a kubeconfig (--kubeconfig PATH) outside of a pod"
        parts = [f"--kubeconfig {self._kubeconfig}"] if self._kubeconfig else []
        return " ".join([*parts, *([f"--context {self._context}"] if self._context else [])])


def service_account_uid(authorization: str) -> str | None:
    """The UID in a token of a ServiceAccount, which is not verified here; None for other credentials."""
    parts = authorization.rpartition(" ")[2].split(".")
    try:
        claims = msgspec.json.decode(urlsafe_b64decode(parts[1] + "=="), type=_Claims) if len(parts) == 3 else _Claims()
    except ValueError:
        return None
    return claims.kubernetes.serviceaccount.uid or claims.legacy or None


class _Object(msgspec.Struct, frozen=True):
    uid: str = ""


class _Kubernetes(msgspec.Struct, frozen=True):
    serviceaccount: _Object = _Object()


class _Claims(msgspec.Struct, frozen=True):
    """The claims of a token of the TokenRequest API, and of one in a Secret of type kubernetes.io/service-account-token
    (`legacy`)."""

    kubernetes: _Kubernetes = msgspec.field(name="kubernetes.io", default=_Kubernetes())
    legacy: str = msgspec.field(name="kubernetes.io/serviceaccount/service-account.uid", default="")


def _pool(configuration: Configuration) -> urllib3.PoolManager:
    """A pool with the official client's certificates and proxies, and our timeouts for dead connections."""
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.socket_options = list(SOCKET_OPTIONS)
    pool = RESTClientObject(configuration).pool_manager
    assert isinstance(pool, urllib3.PoolManager)
    return pool
