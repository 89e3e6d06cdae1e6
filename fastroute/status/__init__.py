"""Builds the status of each object from the graph and the data plane's Outcome. Pure."""

from fastroute.status.build import ObjectId, Statuses, build_statuses, everything_bound
from fastroute.status.condition import LONGEST_MESSAGE, OUR_TYPES

__all__ = ["LONGEST_MESSAGE", "OUR_TYPES", "ObjectId", "Statuses", "build_statuses", "everything_bound"]
