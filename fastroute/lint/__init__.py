"""Warnings: manifests that are valid and yet surely not what was meant. Pure; LINTS (table.py) lists every lint.

A lint is a function of the Resources and the Graph; each file holds the lints of one kind of thing. No status carries
a warning. `fastroute check` shows warnings, and fails for them with `--strict`.
"""

from fastroute.lint.nothing import nothing_served
from fastroute.lint.parent import routes_not_served
from fastroute.lint.table import LINTS, lint

__all__ = ["LINTS", "lint", "nothing_served", "routes_not_served"]
