"""Control data of datagrams (cmsg(3)): to which address a datagram was sent. They come from the kernel, and no byte
after their end is read."""

import socket
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from fastroute.ext.datagrams.address import local_of

FOUR = (socket.IPPROTO_IP, 8)  # IP_PKTINFO
SIX = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
HEADER = struct.Struct("Nii")

Part = tuple[tuple[int, int], bytes]


def written(parts: list[Part]) -> bytes:
    return b"".join(
        (HEADER.pack(socket.CMSG_LEN(len(data)), *kind) + data).ljust(socket.CMSG_SPACE(len(data)), b"\0")
        for kind, data in parts
    )


def expected(parts: list[Part], family: int) -> tuple[bytes, int]:
    local, interface = bytes(16), 0
    for kind, data in parts:
        if family == socket.AF_INET and kind == FOUR and len(data) >= 12:
            local = data[4:8] + bytes(12)
        elif family == socket.AF_INET6 and kind == SIX and len(data) >= 20 and data[0] != 0xFF:
            local = data[:16]
            is_link_local = local[0] == 0xFE and local[1] & 0xC0 == 0x80
            interface = struct.unpack("=I", data[16:20])[0] if is_link_local else 0
    return local, interface


LINK_LOCAL = b"\xfe\x80" + bytes(14) + struct.pack("=I", 3)

families = st.sampled_from([socket.AF_INET, socket.AF_INET6])
kinds = st.sampled_from([FOUR, SIX]) | st.tuples(st.integers(0, 300), st.integers(0, 300))
addresses = st.sampled_from([b"\xfe\x80", b"\xfe\xbf", b"\xff\x02", b"\x20\x01"])
contents = st.binary(max_size=40) | st.builds(lambda head, rest: head + rest, addresses, st.binary(max_size=30))


@given(st.lists(st.tuples(kinds, contents), max_size=3), families)
@example([(SIX, LINK_LOCAL)], socket.AF_INET)  # a reply over IPv4 could not have this address
@example([(SIX, LINK_LOCAL), (FOUR, bytes(12))], socket.AF_INET6)
def test_the_address_is_that_of_the_last_part_of_the_family(parts: list[Part], family: int) -> None:
    assert local_of(written(parts), family) == expected(parts, family)


@given(st.lists(st.tuples(kinds, contents), max_size=3), families, st.data())
@example([(FOUR, bytes(12))], socket.AF_INET, None)
def test_any_bytes_are_read_within_their_length(parts: list[Part], family: int, data: st.DataObject | None) -> None:
    control = bytearray(written(parts))
    if data is None or not control:
        local_of(bytes(control), family)
        return
    for _ in range(data.draw(st.integers(1, 4))):
        control[data.draw(st.integers(0, len(control) - 1))] = data.draw(st.sampled_from([0, 1, 15, 16, 24, 28, 255]))
    local, interface = local_of(bytes(control[: data.draw(st.integers(0, len(control)))]), family)
    assert len(local) == 16
    assert interface >= 0
