"""Flows of datagrams whose path takes only smaller packets: the kernel reports it once, and sends nothing then."""

import os
import socket
import struct

import pytest
from datagrams import UdpRig, to, udp_rule

DNS = "apps/dns:53"
ENDPOINT = "127.5.5.5"  # of nothing else: the kernel remembers the path


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def fragmentation_needed(source: int, target: int) -> bytes:
    """The ICMP message (RFC 1191 section 4) about a datagram to the endpoint. It names the largest size, so that
    nothing but the report changes."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 128, 0, 0x4000, 64, socket.IPPROTO_UDP, 0, b"\x7f\0\0\1", b"\x7f\5\5\5")
    udp = struct.pack("!HHHH", source, target, 108, 0)
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 65_535) + ip + udp
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


@pytest.mark.skipif(os.geteuid() != 0, reason="sends ICMP")
@pytest.mark.parametrize("count", [1, 3])
def test_a_report_about_the_path_costs_no_datagram(count: int) -> None:
    rig = UdpRig("127.0.0.1", None)
    with (
        socket.socket(type=socket.SOCK_DGRAM) as endpoint,
        socket.socket(type=socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as router,
    ):
        endpoint.bind((ENDPOINT, 0))
        endpoint.settimeout(60)
        port = endpoint.getsockname()[1]
        rig.serve(udp_rule(to(DNS)))
        rig.endpoints(DNS, port, address=ENDPOINT)
        client.sendto(b"first", rig.place[1:])
        while rig.engine.turn() or rig.counted[0] < 1:
            pass
        data, flow = endpoint.recvfrom(100)
        assert data == b"first"
        for number in range(count):
            client.sendto(b"%d" % number, rig.place[1:])  # before the report: so the engine reads them first
        router.sendto(fragmentation_needed(flow[1], port), ("127.0.0.1", 0))
        while rig.engine.turn() or rig.counted[0] < 1 + count:
            pass
        assert [endpoint.recv(100) for _ in range(count)] == [b"%d" % number for number in range(count)]
    rig.close()
