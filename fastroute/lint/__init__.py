"""Warnings about manifests that are valid but probably not what was meant. Pure; LINTS (table.py) lists every lint.

A lint is a function of the Resources and the Graph; each file contains the lints of one topic. Warnings do not appear
in statuses. `fastroute check` prints them, and fails because of them with `--strict`.
"""

from fastroute.lint.nothing import nothing_served
from fastroute.lint.table import LINTS, lint

__all__ = ["LINTS", "lint", "nothing_served"]
