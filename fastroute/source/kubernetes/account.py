"""Account: the address of an API server and the credentials for it. The official client reads them from a pod's
ServiceAccount or from a kubeconfig.

Tokens are reread by the official client (a pod's every minute, those of exec plugins when they expire). Other changes
on disk are found by `reload`, which is called after a 401. A user's kubeconfig is never written to.
"""

import hashlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

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
        """The same for all replicas of an installation, and different for each cluster: derived from the CA of the API
        server."""
        authority = Path(self._configuration.ssl_ca_cert) if self._configuration.ssl_ca_cert else None
        try:
            known = authority.read_bytes() if authority else b""
        except OSError:
            known = b""
        parts = (known, self.host.encode(), controller_name.encode(), str(lease).encode())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

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


def _pool(configuration: Configuration) -> urllib3.PoolManager:
    """A pool with the official client's certificates and proxies, and our timeouts for dead connections."""
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.socket_options = list(SOCKET_OPTIONS)
    pool = RESTClientObject(configuration).pool_manager
    assert isinstance(pool, urllib3.PoolManager)
    return pool
