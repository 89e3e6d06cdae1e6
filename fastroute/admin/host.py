"""Which Host a request to the admin API may name.

A web page can send requests to any address that its own name resolves to, also to 127.0.0.1 (DNS rebinding). Such a
request names the host of the page. So only these names are answered: the address at which the request arrived,
"localhost", and the names of --admin-host. The port does not count: `kubectl port-forward` changes it.
"""

import re
from collections.abc import Container, Iterable

from fastroute.notation import plain_host

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")
LOCAL = "localhost"


def may_name(hosts: Iterable[str], arrived_at: str, names: Container[str]) -> bool:
    """`hosts`: the values of Host; `arrived_at`: the local address of the connection; `names`: of --admin-host.

    >>> may_name(["localhost:8080"], "127.0.0.1", ()), may_name(["evil.example"], "127.0.0.1", ())
    (True, False)
    >>> may_name(["[::1]:9901"], "::1", ()), may_name(["127.0.0.1"], "::ffff:127.0.0.1", ()), may_name([], "::1", ())
    (True, True, False)
    """
    values = list(hosts)
    found = _HOST.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return False
    name = plain_host(found[1].strip("[]"))
    return name == LOCAL or name in names or name == plain_host(arrived_at)
