"""Sockets of listeners: one for each place and worker slot. The main process keeps all of them open.

SO_REUSEPORT distributes new connections, and the clients that send datagrams, over the sockets of a place, whichever
process has them. Because the main process keeps a copy of each socket, the accept queue of a worker that dies is not
lost. SO_REUSEPORT also hides conflicts with other programs, so each place is first bound without it.

The wildcard "::" serves IPv4 too, unless 0.0.0.0 is also a place of this port and transport.

A place of TCP that is removed, and each of them before a drain, is first closed to new connections: a kernel filter
drops their first packet. The client retries its SYN, instead of waiting in an accept queue that is about to be closed.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping

from fastroute.descriptors import Shortages, explained, is_shortage
from fastroute.difference import changed_keys, replaced
from fastroute.errors import FastrouteError
from fastroute.place import Place, Transport
from fastroute.snapshot import Bound, Failed, Listener

_BOUND = Bound()
BACKLOG = 4096  # length of each accept queue; net.core.somaxconn limits it

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER: not in Python's socket module
_NO_SYN = (  # classic BPF over the TCP header: (code, jump if true, jump if false, constant)
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # everything else passes
)


class BindError(FastrouteError):
    """A place cannot be bound. The message contains the cause and a solution."""


class ListeningSockets:
    """The sockets of every place in the snapshot, and the errors of places that could not be bound."""

    def __init__(self, slots: int, most: int, shortages: Shortages) -> None:
        """`most`: how many sockets may be bound (descriptors.py)."""
        self._slots = slots
        self._most = most
        self._shortages = shortages
        self._bound: dict[Place, tuple[socket.socket, ...]] = {}
        self._failed: dict[Place, str] = {}
        self._retired: dict[Place, tuple[socket.socket, ...]] = {}
        self._users: Counter[Place] = Counter()  # listeners at each place

    @property
    def bound(self) -> Mapping[Place, tuple[socket.socket, ...]]:
        """The sockets of each place, one per slot."""
        return self._bound

    @property
    def failed(self) -> Mapping[Place, str]:
        """The error of each place that could not be bound."""
        return self._failed

    def follow(self, places: Iterable[Place]) -> None:
        """Binds new places and retires places that are no longer in the snapshot."""
        self._users = Counter(places)
        self._follow(self._users.keys() | self._bound.keys() | self._failed.keys())

    def follow_listeners(self, old: Mapping[str, Listener], new: Mapping[str, Listener]) -> None:
        """Like `follow`, for a change of listeners: processes only the places of listeners that differ."""
        touched = set[Place]()
        for id_ in changed_keys(old, new):
            for listeners, count in ((old, -1), (new, 1)):
                if id_ in listeners:
                    place = listeners[id_].place
                    self._users[place] += count
                    touched.add(place)
        self._follow(touched)

    def _follow(self, places: Iterable[Place]) -> None:
        """Retires those of `places` that are no longer used, then binds new ones."""
        used = {place for place in places if self._users[place] > 0}
        for place in set(places) - used:
            del self._users[place]
            self._failed.pop(place, None)
            if place in self._bound:
                self._retire(place)
        for place in sorted(used - self._bound.keys() - self._failed.keys()):
            self._bind(place)

    def try_again(self) -> bool:
        """Tries the failed places again; True if that changed anything."""
        before = dict(self._failed)
        for place in before:
            self._bind(place)
        return before != self._failed

    def close_to_new(self) -> None:
        """Drops new connections from now on; those in the accept queues can still be accepted."""
        for sockets in self._bound.values():
            for one in sockets:
                _drop_new(one)

    def close_retired(self) -> bool:
        """Closes the main process's copies of retired sockets. Call it when no worker needs them any more."""
        retired, self._retired = self._retired, {}
        for sockets in retired.values():
            _close(sockets)
        return bool(retired)

    def close(self) -> None:
        """Closes the main process's copies of all sockets."""
        self.close_retired()
        for sockets in self._bound.values():
            _close(sockets)
        self._bound = {}

    def _bind(self, place: Place) -> None:
        if place in self._retired:
            self._bound[place] = self._retired.pop(place)
            for one in self._bound[place]:
                _admit_new(one)
            return
        try:
            self._check_room(place)
            alone = place._replace(address="0.0.0.0") not in self._users  # noqa: S104  (compared, not bound)
            self._bound[place] = bind(place, self._slots, dual=place.address == "::" and alone)
            self._failed.pop(place, None)
        except BindError as error:
            self._failed[place] = str(error)
            if isinstance(error.__cause__, OSError) and is_shortage(error.__cause__):
                self._shortages.note("bind", f"{place} cannot be bound", error.__cause__)

    def _check_room(self, place: Place) -> None:
        """Raises BindError if `most` is reached."""
        if self._bound and (len(self._bound) + 1) * self._slots > self._most:
            none = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            raise BindError(_reason(place, none)) from none

    def _retire(self, place: Place) -> None:
        self._retired[place] = self._bound.pop(place)
        for one in self._retired[place]:
            _drop_new(one)


class Results:
    """The result of binding each listener; only results that changed since the last call are created."""

    def __init__(self) -> None:
        self._listeners: Mapping[str, Listener] = {}
        self._failed: Mapping[Place, str] = {}
        self._results: Mapping[str, Bound | Failed] = {}

    def of(self, listeners: Mapping[str, Listener], failed: Mapping[Place, str]) -> Mapping[str, Bound | Failed]:
        changed = changed_keys(self._listeners, listeners)
        if failed != self._failed:
            changed |= listeners.keys()
        if changed:
            made = {id_: _result(listeners[id_], failed) if id_ in listeners else None for id_ in changed}
            self._results = replaced(self._results, made)
        self._listeners, self._failed = listeners, dict(failed)
        return self._results


def _result(listener: Listener, failed: Mapping[Place, str]) -> Bound | Failed:
    why = failed.get(listener.place)
    return _BOUND if why is None else Failed(why)


def bind(place: Place, count: int, *, dual: bool = False) -> tuple[socket.socket, ...]:
    """`count` sockets at `place`, listening if it is TCP; with `dual` an IPv6 socket serves IPv4 too. Raises
    BindError."""
    sockets: list[socket.socket] = []
    try:
        _bound_socket(place, shared=False, dual=dual).close()
        sockets.extend(_bound_socket(place, shared=True, dual=dual) for _ in range(count))
        for one in sockets if place.transport is Transport.TCP else ():
            one.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        _close(sockets)
        raise BindError(_reason(place, error)) from error
    return tuple(sockets)


def _bound_socket(place: Place, *, shared: bool, dual: bool) -> socket.socket:
    is_tcp = place.transport is Transport.TCP
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
    try:
        if is_tcp:  # for UDP, SO_REUSEADDR would hide conflicts with other programs (socket(7))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        one.setblocking(False)
        one.bind((place.address, place.port))
    except BaseException:
        one.close()
        raise
    return one


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _reason(place: Place, error: OSError | OverflowError) -> str:
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return (
                f"{place} is in use by another process: stop that one, or choose another port for the listener or "
                "another --port-offset"
            )
        case OSError(errno=errno.EACCES | errno.EPERM):
            return (
                f"port {place.port} needs root or CAP_NET_BIND_SERVICE: serve with --port-offset 8000, "
                "or let unprivileged programs bind it (sysctl net.ipv4.ip_unprivileged_port_start)"
            )
        case OSError(errno=errno.EADDRNOTAVAIL):
            return f"{place.address} is no address of this machine: choose another --bind"
        case OSError(errno=errno.EAFNOSUPPORT):
            return f"{place.address}: this machine has no IPv6; serve with --bind 0.0.0.0"
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return f"{place} needs more open files than this process may have: {explained(error)}"
        case OSError(errno=number) if number is not None:
            return f"{place} cannot be bound: {os.strerror(number)}"
        case OverflowError():
            return f"port {place.port} is beyond 65535: choose a smaller --port-offset"
        case _:
            return f"{place} cannot be bound: {error}"


def _drop_new(one: socket.socket) -> None:
    """Drops the first packet of every new connection. Does nothing if the system has no such filter, or if
    the socket has no connections: the filter reads a TCP header."""
    if one.type == socket.SOCK_DGRAM:
        return
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_SYN))
    program = struct.pack("HL", len(_NO_SYN), ctypes.addressof(steps))  # struct sock_fprog
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _admit_new(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
