"""Every `FASTROUTE_*` environment variable must belong to an option. A misspelled variable is an error.

Kubernetes sets variables for each Service in the namespace of a pod ("service links"). Those of a Service named
`fastroute` or `fastroute-…` begin with the same prefix: FASTROUTE_SERVICE_HOST, FASTROUTE_PORT=tcp://10.0.0.1:80,
FASTROUTE_PORT_80_TCP_ADDR. They are ignored, and no option may have such a name.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

from fastroute.errors import SettingError

PREFIX = "FASTROUTE_"
_SERVICE_LINK = re.compile(
    r"FASTROUTE(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"FASTROUTE(_[A-Z0-9_]+)?_PORT=(tcp|udp|sctp)://.*")
_SIMILAR = 0.5  # difflib's ratio, from 0 to 1; low, so that almost always an option is suggested
_NAMED = 5  # unknown variables that a message names


def require_known(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Raises SettingError for a variable that begins with FASTROUTE_ and is neither in `known` nor a service link."""
    names = frozenset(known)
    unknown = sorted(
        name
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in names and not is_service_link(name, value)
    )
    if unknown:
        more = f", and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise SettingError("; ".join(_said(name, names) for name in unknown[:_NAMED]) + more)


def is_service_link(name: str, value: str) -> bool:
    """
    >>> is_service_link("FASTROUTE_PORT", "tcp://10.0.0.1:80"), is_service_link("FASTROUTE_PORT", "80")
    (True, False)
    """
    return bool(_SERVICE_LINK.fullmatch(name) or _SERVICE_ADDRESS.fullmatch(f"{name}={value}"))


def _said(name: str, known: Iterable[str]) -> str:
    options = [each.removeprefix(PREFIX) for each in known]
    near = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), options, 1, _SIMILAR)
    hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
    return f"unknown environment variable {name}{hint}"
