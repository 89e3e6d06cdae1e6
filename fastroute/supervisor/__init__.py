"""The main process's side of the data plane: sockets, worker processes, publications, counters. See supervisor.py."""

from fastroute.supervisor.cpus import usable_cpus
from fastroute.supervisor.supervisor import Supervisor

__all__ = ["Supervisor", "usable_cpus"]
