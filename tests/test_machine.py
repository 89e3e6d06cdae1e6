"""The addresses and local ports of this machine, as the kernel lists them."""

import socket
from pathlib import Path

from fastroute.machine import local_ports, machine_addresses

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.244.0.0/16 2 0 1
        |-- 10.244.0.0
           /16 link UNICAST
        |-- 10.244.3.7
           /32 host LOCAL
        |-- 10.244.255.255
           /32 link BROADCAST
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
"""
IPV6 = "fd000ec2000000000000000000000005 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n"


def test_addresses_of_all_interfaces(tmp_path: Path) -> None:
    trie, ipv6 = tmp_path / "trie", tmp_path / "ipv6"
    trie.write_text(TRIE)
    ipv6.write_text(IPV6)
    assert machine_addresses(trie, ipv6) == {"10.244.3.7", "127.0.0.1", "fd00:ec2::5", "::1"}
    assert machine_addresses(trie, tmp_path / "none") == {"10.244.3.7", "127.0.0.1"}
    assert machine_addresses(tmp_path / "none", tmp_path / "none") == frozenset()


def test_this_machine_has_an_address_that_a_socket_can_use() -> None:
    found = machine_addresses()
    assert found
    for address in found:
        if not address.startswith("fe80"):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.bind((address, 0))


def test_the_number_of_local_ports(tmp_path: Path) -> None:
    (tmp_path / "range").write_text("32768\t60999\n")
    assert local_ports(tmp_path / "range") == range(32_768, 61_000)
    assert local_ports(tmp_path / "none") == range(0)
    assert len(local_ports()) > 0
