"""An engine gets frames on a new connection, which the test then closes. Everything must end, and all memory be free.

The first byte of an input says in which pieces the frames arrive, whether the client reads, whether time passes, and
whether a backend closes behind its frames. The second one says what the backend of HTTP/1.1 answers. The rest are frames
of the client and of the backend of HTTP/2 (script.pxd). The clock of the engine stands still otherwise.

Requests for the host `b` and calls of gRPC go to the backend of HTTP/2, and copies of the former to its mirror, which is
the same backend; all others go to the one of HTTP/1.1.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport strlen
from posix.unistd cimport close

import os
import socket

from fastroute import snapshot
from fastroute.ext.engine.engine cimport Engine
from fastroute.ext.engine.turn cimport Turns, turn
from fastroute.ext.exchange.downstream cimport downstream_adopt
from fastroute.ext.memory.address cimport AF_INET
from fastroute.ext.memory.buffer cimport buffers_total
from fastroute.ext.reactor.connection cimport Connection, Parent, Stream
from fastroute.ext.reactor.counters import CounterMap, map_size
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.tables import TableBuilder, Upstreams
from fastroute.ext.tls.certificate import Certificates
from fastroute.place import Place, Transport
from fastroute.settings import Limits

from fuzz.input cimport Input, choice
from fuzz.script cimport Script, script_put, script_read
from fuzz.servers cimport ANSWERS, Conduct, servers_leave, servers_open, servers_serve

cdef extern from "<sys/socket.h>" nogil:
    enum:
        AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL
    int socketpair(int domain, int kind, int protocol, int *pair)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef enum:
    ENDING = 8                  # turns after the last frame of the client
    ROUNDS = 400                # turns after which everything has ended
    READS = 0x08                # bits of the first byte: the client reads
    CLOSES = 0x10               # the backend of HTTP/2 closes behind its frames
    PASSES = 0x20               # time passes between turns
    WHILE = 700000              # microseconds that pass between two turns
    PAUSE = 60000000            # microseconds between two sessions: whatever waits has waited long enough

ctypedef const char *(*Runner)(void *r, void *turns, const uint8_t *data, size_t size) noexcept nogil

cdef Engine engine
cdef Connection listener        # only its index is used: 0
cdef Script frames              # of the client
cdef Conduct conduct
cdef char[65536] discarded
cdef const char *PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _rule(name, hostname, backend, **others):
    match = snapshot.Match(path=snapshot.PathMatch("PathPrefix", ""), rank=(0,))
    return snapshot.Rule(
        id=name, listener="l", hostnames=(hostname,), gateway="a/b", listener_name="http", route="a/r",
        route_kind="HTTPRoute", name="0", matches=(match,),
        backends=(snapshot.WeightedBackend(weight=1, backend=backend),), **others)


class _SLOTS:
    targets = (1,)
    upstreams = ()
    local = 2
    duration = 3


def _install(upstreams, place):
    builder = TableBuilder(upstreams, None, 1, Certificates())
    builder.put_listener(snapshot.Listener(
        id="l", gateway="a/b", name="http", place=place, spec_port=80, hostname="", mode=snapshot.Mode.HTTP, tls=None), 10)
    retry = snapshot.Retry(attempts=2, codes=(503,))
    copied = (snapshot.Mirror(backend="framed"),)
    builder.put_rule(_rule("r", "", "plain"), _SLOTS)
    builder.put_rule(_rule("b", "b", "framed", filters=copied, retry=retry), _SLOTS)
    builder.put_rule(_rule("c", "b", "framed", calls=True), _SLOTS)
    while builder.step(1_000_000):
        pass
    engine.install(builder.finish())


def _open():
    """An engine with one listener."""
    global engine
    counted = os.memfd_create("counters")
    os.ftruncate(counted, map_size(64, 64))
    upstreams = Upstreams()
    limits = Limits(max_head=4096, max_fields=20, max_streams=20, max_connections_per_client=1 << 20)
    engine = Engine(limits=limits, upstreams=upstreams, counters=CounterMap(counted, requests=64, histograms=64), log=None,
                    trusted_proxies=(), seed=1)
    engine.hold_clock()
    listening = socket.create_server(("127.0.0.1", 0))
    place = Place(Transport.TCP, *listening.getsockname())
    engine.listen(listening.detach(), place)
    plain, framed = servers_open()
    upstreams.speak("framed", snapshot.Backend(protocol="h2"))
    upstreams.update("plain", [("127.0.0.1", plain)])
    upstreams.update("framed", [("127.0.0.1", framed)])
    _install(upstreams, place)
    engine.r.hurried = <uint64_t> -1        # turns never wait


_open()


# --- the target


cdef void go_on(Reactor r, Turns *turns, int client, uint8_t how) noexcept nogil:
    if how & PASSES:
        r.held += WHILE
    turn(r, turns)
    servers_serve(&conduct)
    if how & READS:
        recv(client, discarded, sizeof(discarded), MSG_DONTWAIT)


cdef bint has_ended(Reactor r, uint64_t before) noexcept nogil:
    return (r.downstreams == 0 and r.exchanges == 0 and r.carried == 0 and r.upstream_connections == 0
            and buffers_total() <= before)


cdef const char *end(Reactor r, Turns *turns, uint64_t before) noexcept nogil:
    """Everything must end after the client and the backends have closed their connections."""
    cdef int _
    servers_leave()
    for _ in range(ROUNDS):
        if has_ended(r, before):
            return NULL
        turn(r, turns)
        servers_leave()
    if r.downstreams or r.exchanges or r.carried:
        return b"a connection, a stream or an exchange does not end"
    return b"a connection to a backend does not end" if r.upstream_connections else b"memory of buffers is not freed"


cdef void read_input(const uint8_t *data, size_t size) noexcept nogil:
    cdef Input input = Input(data, data + size)
    cdef uint8_t how = choice(&input, 255)
    conduct.answer = choice(&input, ANSWERS)
    conduct.step = <uint32_t> 1 << 2 * (1 + how % 8)
    conduct.closes = how & CLOSES
    conduct.script.used = 0
    frames.used = 0
    script_put(&frames, PREFACE, <uint32_t> strlen(PREFACE))
    while input.at < input.end:
        script_read(&input, &frames, &conduct.script)


cdef const char *session(Reactor r, Turns *turns, const uint8_t *data, size_t size) noexcept nogil:
    cdef uint8_t how = data[0] % 255 if size else 0
    cdef uint8_t[4] address
    cdef int[2] pair
    cdef uint32_t sent = 0
    cdef uint64_t before = buffers_total()      # of other engines of this process
    cdef int _
    read_input(data, size)
    if socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0:
        return b"no descriptor is left"
    r.held += PAUSE
    address[0], address[1], address[2], address[3] = 127, 0, 0, 1
    downstream_adopt(r, &listener, pair[0], AF_INET, address, 1)
    while sent < frames.used:
        send(pair[1], frames.frames + sent, min(conduct.step, frames.used - sent), MSG_DONTWAIT | MSG_NOSIGNAL)
        sent += min(conduct.step, frames.used - sent)
        go_on(r, turns, pair[1], how)
    for _ in range(ENDING):
        go_on(r, turns, pair[1], how)
    close(pair[1])
    return end(r, turns, before)


cdef const char *fuzz_http2(const uint8_t *data, size_t size) noexcept nogil:
    cdef void *r
    cdef void *turns
    cdef Runner run = <Runner> <void *> session     # the type of a Python object cannot be cast without the GIL
    with gil:
        r = <void *> engine.r
        turns = &engine.turns
    return run(r, turns, data, size)


def sizes():
    """Bytes of a connection, of what a stream owns, and of what a connection with streams owns."""
    return sizeof(Connection), sizeof(Stream), sizeof(Parent)
