"""Which Upgrade fields are used: every protocol, except those that carry HTTP requests (see protocol.pxd)."""

import pytest

from fastroute.ext.http1.http1 import RequestHead, read_request

SWITCHES = {
    "websocket": True,
    "WebSocket/13": True,
    "SPDY/3.1": True,
    ",websocket , tcp,": True,
    "h2cx": True,
    "xh2c": True,
    "https": True,
    "h2c": False,
    "H2C": False,
    "h2c/2": False,
    "h2c/1.0": False,
    "h2c-14": False,
    "h2": False,
    "h2-17": False,
    "HTTP/2.0": False,
    "TLS/1.0": False,
    "websocket,h2c/1.0": False,
    "websocket,\th2c-14": False,
    ",h2c,websocket": False,
    "": False,
    " , ,": False,
    "websocket;h2c": False,
    "websocket h2c": False,
    "websocket/": False,
    "websocket/ ,h2c": False,
    "/13": False,
    "a/1/2": False,
    '"websocket"': False,
    "caf\xe9": False,
}


@pytest.mark.parametrize(("protocols", "used"), SWITCHES.items())
def test_what_is_forwarded_as_an_upgrade(protocols: str, used: bool) -> None:
    text = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {protocols}\r\n\r\n"
    head = read_request(text.encode("latin-1"))
    assert isinstance(head, RequestHead)
    assert head.upgrade == used
