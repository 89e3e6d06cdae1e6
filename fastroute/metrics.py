"""All metrics by name, and the metrics that the main process counts.

The workers' counters are in shared memory (ext/reactor/counters) and are read by `supervisor/tally.py`, which takes
their families from this file, so that it lists all metrics. Names follow Prometheus: base units, `_total`, prefix
`fastroute_`.
"""

import re
import time
from typing import NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import fastroute
from fastroute.current import Current, CurrentEndpoints
from fastroute.exposition import Exemplar

TRACE_ID = re.compile("[0-9a-f]{32}")

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Family(NamedTuple):
    """A metric that workers count: its full name, its help text, its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


REQUESTS = Family(
    "fastroute_http_requests_total",
    "Responses sent to clients, by the chosen backend",
    ("gateway", "listener", "route", "route_kind", "rule", "backend", "code"),
)
CALLS = Family(
    "fastroute_grpc_requests_total",
    "Calls of gRPC that were answered with a status, by the chosen backend",
    (*REQUESTS.labels[:-1], "grpc_code"),
)
TCP_CONNECTIONS = Family(
    "fastroute_tcp_connections_total",
    "TCP and TLS connections that were passed on, by the chosen backend",
    REQUESTS.labels[:-1],
)
TCP_BYTES = Family(
    "fastroute_tcp_bytes_total",
    "Bytes of these connections, received from clients and sent to them",
    (*TCP_CONNECTIONS.labels, "direction"),
)
DURATION = Family(
    "fastroute_http_request_duration_seconds",
    "Time from the first byte of a request to the last byte of its response",
    ("gateway", "route", "route_kind"),
)
UPSTREAM_DURATION = Family(
    "fastroute_upstream_request_duration_seconds",
    "Time from the choice of a backend to the first byte of its response",
    ("backend",),
)
CONNECT = Family("fastroute_upstream_connect_seconds", "Time to connect to an endpoint")
BUFFERED = Family("fastroute_buffered_bytes", "Memory of the buffers of all connections, and of OpenSSL for TLS")
CONNECTIONS = Family("fastroute_connections", "Open connections", ("side", "state"))
ACCEPTED = Family("fastroute_connections_accepted_total", "Client connections accepted")
REFUSED = Family("fastroute_connections_refused_total", "Client connections closed at once, by reason", ("reason",))
ENDED = Family(
    "fastroute_connections_ended_total", "Client connections ended because of a limit, by reason", ("reason",)
)
LOCAL_RESPONSES = Family(
    "fastroute_local_responses_total",
    "Responses generated without a backend, and connections and flows that no backend got, by reason",
    ("reason",),
)
ENDPOINT_FAILURES = Family(
    "fastroute_endpoint_failures_total",
    "Tries that failed because of the endpoint of the backend that was tried, by reason",
    ("backend", "reason"),
)
RETRIES = Family("fastroute_retries_total", "Retries of requests, by reason", ("reason",))
UNFUNDED = Family("fastroute_retries_over_budget_total", "Retries not made because the budget of the backend was empty")
MIRRORED = Family("fastroute_mirrored_requests_total", "Copies of requests that were sent to a mirror completely")
MIRROR_FAILURES = Family(
    "fastroute_mirror_failures_total", "Copies of requests that were not sent completely, by reason", ("reason",)
)
RECEIVED = Family("fastroute_received_bytes_total", "Bytes received from clients")
SENT = Family("fastroute_sent_bytes_total", "Bytes sent to clients")
UDP_DATAGRAMS = Family(
    "fastroute_udp_datagrams_total", "Datagrams received from clients and sent to them", ("direction",)
)
UDP_FLOWS = Family(
    "fastroute_udp_flows", "UDP flows to a backend, of all workers", ("gateway", "listener", "route", "backend")
)
STREAMS = Family("fastroute_http2_streams", "Open HTTP/2 streams", ("side",))
HTTP2_FAILURES = Family(
    "fastroute_http2_failures_total",
    "HTTP/2 connections and streams of clients that were ended, by reason",
    ("reason",),
)
HANDSHAKES = Family("fastroute_tls_handshakes_total", "TLS handshakes completed, by kind: full or resumed", ("kind",))
HANDSHAKE = Family(
    "fastroute_tls_handshake_seconds", "Time from a client's TLS server name to the end of the handshake"
)
HANDSHAKE_FAILURES = Family("fastroute_tls_handshake_failures_total", "Failed TLS handshakes, by reason", ("reason",))
LOG_DROPPED = Family(
    "fastroute_access_log_dropped_total", "Access log lines dropped because they were not written in time"
)
TRACES_DROPPED = Family(
    "fastroute_traces_dropped_total", "Sampled requests whose spans were dropped because they were not exported in time"
)
TURN = Family("fastroute_worst_turn_seconds", "Longest event loop iteration of a worker so far", ("worker",))
INSTALL_STEP = Family(
    "fastroute_worst_install_step_seconds",
    "Longest time so far for which a step of an installation delayed the traffic of a worker",
    ("worker",),
)
INSTALL = Family("fastroute_worker_install_seconds", "Time from the first message of an installation to its Ack")
WORKER_CPU = Family("fastroute_worker_cpu_seconds_total", "CPU time of a worker's process", ("worker",))
WORKER_MEMORY = Family("fastroute_worker_resident_memory_bytes", "Resident memory of a worker's process", ("worker",))
WORKER_VERSION = Family("fastroute_worker_config_version", "Configuration version that a worker serves", ("worker",))

# Seconds from a change to its service, with narrow buckets around the target of 50 ms.
_PROPAGATION = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Exemplars:
    """The last sampled request of each series of http_request_duration_seconds, at most `most`. One thread may note
    them while another one reads them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: dict[tuple[str, ...], Exemplar] = {}

    def note(self, series: tuple[str, str, str], exemplar: Exemplar) -> None:
        """`series`: gateway, route, route_kind. An invalid trace id is ignored: workers may write anything."""
        if TRACE_ID.fullmatch(exemplar.trace_id) is None:
            return
        self._last.pop(series, None)  # the newest one is the last
        self._last[series] = exemplar
        if len(self._last) > self._most:
            del self._last[next(iter(self._last))]

    def get(self, series: tuple[str, ...]) -> Exemplar | None:
        return self._last.get(series)


class Metrics:
    """The metrics of the main process. app.py creates one instance; components get it, or the one metric they need."""

    def __init__(self, registry: CollectorRegistry | None = None, *, series: int = 2_000) -> None:
        self.registry = registry or CollectorRegistry()
        self.exemplars = Exemplars(series)
        self._describe_objects(series)
        self._describe_process()
        self._count_changes()
        self._count_workers()
        self._count_statuses()
        self._count_api_server()

    def _describe_objects(self, series: int) -> None:
        self.refused_references = Current(
            "fastroute_refused_references", "Refused references of a route", ("route", "route_kind"), series
        )
        self.endpoints = CurrentEndpoints(
            "fastroute_endpoints", "Endpoints of a backend: ready, or avoided because connections to them fail", series
        )
        self.certificate_expiry = Current(
            "fastroute_certificate_expiry_timestamp_seconds",
            "Time at which the certificate of a Secret that is used expires",
            ("secret",),
            series,
            rest=min,
        )
        for each in (self.refused_references, self.endpoints, self.certificate_expiry):
            self.registry.register(each)
        self.objects = Gauge("fastroute_objects", "Objects that were read", ["kind"], registry=self.registry)

    def _describe_process(self) -> None:
        build = Gauge("fastroute_build_info", "Always 1", ["version"], registry=self.registry)
        build.labels(fastroute.__version__).set(1)
        collected = Gauge(
            "fastroute_metrics_collected_timestamp_seconds",
            "Time at which these values were read; the page is kept for 1 s",
            registry=self.registry,
        )
        collected.set_function(time.time)
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.PlatformCollector(registry=self.registry)

    def _count_changes(self) -> None:
        self.config_version = Gauge(
            "fastroute_config_version", "Configuration version that all workers have reached", registry=self.registry
        )
        self.config_apply = Histogram(
            "fastroute_config_apply_seconds",
            "Time from a publication to its acknowledgement by every worker",
            buckets=_PROPAGATION,
            registry=self.registry,
        )
        self.propagation = Histogram(
            "fastroute_propagation_seconds",
            "Time from the detection of a change to its service by every worker",
            buckets=_PROPAGATION,
            registry=self.registry,
        )
        self.endpoint_lag = Histogram(
            "fastroute_endpoint_lag_seconds",
            "Time from the detection of a change of endpoints to its service by every worker",
            buckets=_PROPAGATION,
            registry=self.registry,
        )
        self.grant_changes = Counter(
            "fastroute_reference_grant_changes_total",
            "ReferenceGrants added, changed or removed",
            registry=self.registry,
        )

    def _count_workers(self) -> None:
        self.spans_exported = Counter(
            "fastroute_spans_exported_total", "Spans that the collector has accepted", registry=self.registry
        )
        self.spans_failed = Counter(
            "fastroute_spans_failed_total", "Spans that the collector has not accepted", registry=self.registry
        )
        self.worker_restarts = Counter(
            "fastroute_worker_restarts_total",
            "Workers that exited unexpectedly and were replaced",
            registry=self.registry,
        )
        self.worker_confinement = Gauge(
            "fastroute_worker_confinement",
            "1 if the workers are confined by this mechanism of the kernel, 0 if it is missing",
            ["kind"],
            registry=self.registry,
        )
        self.shortages = Counter(
            "fastroute_descriptor_shortages_total",
            "Failed attempts for lack of a file descriptor, by use; they are repeated",
            ["use"],
            registry=self.registry,
        )

    def _count_statuses(self) -> None:
        self.status_writes = Counter(
            "fastroute_status_writes_total", "Changed statuses that were written", registry=self.registry
        )
        self.status_conflicts = Counter(
            "fastroute_status_conflicts_total",
            "Statuses that another client had changed and that were therefore read again",
            registry=self.registry,
        )
        self.status_contested = Counter(
            "fastroute_status_contested_total",
            "Statuses written again because another client had reverted them within seconds",
            registry=self.registry,
        )
        self.status_queue_length = Gauge(
            "fastroute_status_queue_length", "Objects waiting for their status to be compared", registry=self.registry
        )
        self.status_queue_oldest = Gauge(
            "fastroute_status_queue_oldest_seconds",
            "Waiting time of the oldest object in the status queue",
            registry=self.registry,
        )
        self.status_leader = Gauge(
            "fastroute_status_leader",
            "1 while this replica writes statuses",
            registry=self.registry,
        )

    def _count_api_server(self) -> None:
        self.kubernetes_errors = Counter(
            "fastroute_kubernetes_watch_errors_total",
            "Watches of the API server that ended with an error, by reason",
            ["kind", "reason"],
            registry=self.registry,
        )
        self.kubernetes_reached = Gauge(
            "fastroute_kubernetes_reached", "1 while the API server is reachable", ["server"], registry=self.registry
        )
        self.kubernetes_last_heard = Gauge(
            "fastroute_kubernetes_last_heard_timestamp_seconds",
            "Time of the last message from the API server about a kind; it is asked if it sends nothing for 90 s",
            ["kind"],
            registry=self.registry,
        )
