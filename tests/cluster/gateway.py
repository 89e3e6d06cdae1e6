"""Starts the program under test as users do: a fastroute that watches a cluster."""

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import urllib3

from cluster.process import Program
from cluster.programs import ROOT

METRICS = "127.0.0.1:9900"
POOL = "127.0.1.0/24"
CLASS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: fastroute}
spec: {controllerName: fastroute.dev/gateway}
"""


def start_gateway(
    kubeconfig: Path, log: Path, options: Sequence[str] = (), *, metrics: str = METRICS, ready: bool = True
) -> Program:
    """Starts `fastroute serve --kubernetes`; with `ready`, returns when /readyz returns 200."""
    words = [sys.executable, "-m", "fastroute", "serve", "--kubernetes", "--kubeconfig", str(kubeconfig)]
    words += ["--metrics", metrics, "--health", "off", "--log-format", "text", *options]
    program = Program(words, log, {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"})
    if ready:
        program.wait_for(lambda: is_ready(metrics))
    return program


def scraped(metrics: str = METRICS) -> str:
    """The page of /metrics with values that were read after this call: a page is kept for a second."""
    asked = time.time()
    while True:
        text = urllib3.request("GET", f"http://{metrics}/metrics", timeout=60.0).data.decode()
        [collected] = re.findall(r"^fastroute_metrics_collected_timestamp_seconds (\S+)$", text, re.MULTILINE)
        if float(collected) >= asked:
            return text
        time.sleep(0.05)


def is_ready(metrics: str = METRICS) -> bool:
    try:
        return urllib3.request("GET", f"http://{metrics}/readyz", timeout=10.0, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
