"""The resources that a gateway with many routes uses while nothing relevant changes: only other Leases are renewed."""

import threading
import time

import msgspec
from cluster.api import Api

from bench.kubernetes.gateway import Gateway

SECONDS = 30.0
LEASES = 20
ROUND = 2.0  # seconds in which every Lease is renewed once


class Idle(msgspec.Struct, frozen=True):
    routes: int
    ready_s: float  # from the start of the process to /readyz
    main_bytes: int
    worker_bytes: int
    cpu_percent: float  # of one core, all processes


def measure_idle(api: Api, served: Gateway, routes: int) -> Idle:
    served.settle()
    with _others(api):
        time.sleep(ROUND)
        before, begin = served.cpu(), time.monotonic()
        time.sleep(SECONDS)
        share = (served.cpu() - before) / (time.monotonic() - begin)
    main, worker = served.memory()
    return Idle(routes, served.ready_after, main, worker, share * 100)


class _others:  # noqa: N801  (used as a function)
    """Renews Leases of other holders while entered."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _renew(self) -> None:
        count = 0
        while not self._over.wait(ROUND / LEASES):
            count += 1
            now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
            self._api.apply(
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"namespace": "kube-system", "name": f"other-{count % LEASES}"},
                    "spec": {"holderIdentity": "other", "renewTime": now, "leaseDurationSeconds": 40},
                }
            )
