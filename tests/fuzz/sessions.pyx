"""An engine gets frames on a new connection, which the test then closes. Everything must end, and all memory be free.

The first byte of an input says in which pieces the frames arrive, whether the client reads, and what the backend
answers. The rest are frames: kind, flags, stream, size of the payload, and the payload. Some kinds are no frames but
bytes as they are, or a block of fields behind a complete request. The clock of the engine stands still.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strlen
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

cdef extern from "<sys/socket.h>" nogil:
    enum:
        AF_UNIX, SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL
    int socketpair(int domain, int kind, int protocol, int *pair)
    int accept4(int fd, void *address, void *size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef enum:
    ROOM = 131072               # bytes of all frames of an input
    FRAME_HEAD = 9
    KINDS = 13
    KIND_UNKNOWN = 10
    KIND_BYTES = 11
    KIND_REQUEST = 12           # HEADERS: a complete request, and what the payload adds
    FLAG_LONGER = 0x80          # of an input: the head of the frame says one byte more
    BACKENDS = 256              # connections at the same time
    ROUNDS = 400                # after which everything has ended
    ANSWERS = 8
    CLOSING = 4                 # from this answer on the backend closes behind it

ctypedef const char *(*Runner)(void *r, void *turns, const uint8_t *data, size_t size) noexcept nogil

cdef const char *answers[ANSWERS]
answers[:] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n",       # and as much content
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: yes\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
    b"nonsense\r\n\r\n",
    b"",                                                            # none
]

cdef Engine engine
cdef Connection listener        # only its index is used: 0
cdef int backend                # listening socket
cdef int[BACKENDS] accepted
cdef uint32_t accepted_count
cdef char[40000] content
cdef char[ROOM] frames
cdef char[65536] discarded
cdef const char *REQUEST = b"\x82\x86\x84\x01\x01a"      # GET http://a/
cdef const char *PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _listen():
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    return listening.getsockname()[1], listening.detach()


def _open():
    """An engine with one listener, and one rule for all requests."""
    global engine, backend
    counted = os.memfd_create("counters")
    os.ftruncate(counted, map_size(64, 64))
    upstreams = Upstreams()
    limits = Limits(max_head=4096, max_fields=20, max_streams=20, max_connections_per_client=1 << 20)
    engine = Engine(limits=limits, upstreams=upstreams, counters=CounterMap(counted, requests=64, histograms=64), log=None,
                    trusted_proxies=(), seed=1)
    engine.hold_clock()
    port, fd = _listen()
    place = Place(Transport.TCP, "127.0.0.1", port)
    engine.listen(fd, place)
    builder = TableBuilder(upstreams, None, 1, Certificates())
    builder.put_listener(snapshot.Listener(
        id="l", gateway="a/b", name="http", place=place, spec_port=80, hostname="", mode=snapshot.Mode.HTTP, tls=None), 10)
    match = snapshot.Match(path=snapshot.PathMatch("PathPrefix", ""), rank=(0,))
    builder.put_rule(snapshot.Rule(
        id="r", listener="l", hostnames=("",), gateway="a/b", listener_name="http", route="a/r", route_kind="HTTPRoute",
        name="0", matches=(match,), filters=(), backends=(snapshot.WeightedBackend(weight=1, backend="b"),)), _SLOTS)
    while builder.step(1_000_000):
        pass
    engine.install(builder.finish())
    port, backend = _listen()
    upstreams.update("b", [("127.0.0.1", port)])
    engine.r.hurried = <uint64_t> -1        # turns never wait
    memset(content, c"x", sizeof(content))


class _SLOTS:
    targets = (1,)
    local = 2
    duration = 3


_open()


# --- what arrives


cdef uint32_t put(uint32_t used, const void *data, uint32_t size) noexcept nogil:
    size = min(size, ROOM - used)
    if size:
        memcpy(frames + used, data, size)
    return used + size


cdef uint32_t put_frame(uint32_t used, Input *input) noexcept nogil:
    """Returns the bytes in use."""
    cdef uint8_t kind = choice(input, KINDS)
    cdef uint8_t flags = choice(input, 255)
    cdef uint8_t stream = choice(input, 255)
    cdef uint32_t size = min(<uint32_t> choice(input, 255), <uint32_t> (input.end - input.at))
    cdef const uint8_t *payload = input.at
    cdef uint32_t whole = size
    cdef uint8_t[FRAME_HEAD] head
    input.at += size
    if kind == KIND_BYTES:
        return put(used, payload, size)
    memset(head, 0, FRAME_HEAD)
    if kind == KIND_REQUEST:
        whole += <uint32_t> strlen(REQUEST)
    head[1] = <uint8_t> (whole >> 8)
    head[2] = <uint8_t> whole + (flags >> 7)
    head[3] = 0xbb if kind == KIND_UNKNOWN else 1 if kind == KIND_REQUEST else kind
    head[4] = flags & 0x7f
    if stream < 240 and kind != 4 and kind != 6 and kind != 7:
        head[8] = stream % 64
    used = put(used, head, FRAME_HEAD)
    if kind == KIND_REQUEST:
        used = put(used, REQUEST, <uint32_t> strlen(REQUEST))
    return put(used, payload, size)


# --- the backend


cdef bint answer(int fd, uint8_t which) noexcept nogil:
    """False: the connection has ended."""
    cdef ssize_t size = recv(fd, discarded, sizeof(discarded), MSG_DONTWAIT)
    if size <= 0:
        return size < 0         # there is nothing to read
    send(fd, answers[which], strlen(answers[which]), MSG_DONTWAIT | MSG_NOSIGNAL)
    if which == 1:
        send(fd, content, sizeof(content), MSG_DONTWAIT | MSG_NOSIGNAL)
    return which < CLOSING


cdef void serve(uint8_t which) noexcept nogil:
    global accepted_count
    cdef uint32_t i = 0
    cdef int fd
    while accepted_count < BACKENDS:
        fd = accept4(backend, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            break
        accepted[accepted_count] = fd
        accepted_count += 1
    while i < accepted_count:
        if answer(accepted[i], which):
            i += 1
            continue
        close(accepted[i])
        accepted_count -= 1
        accepted[i] = accepted[accepted_count]


# --- the target


cdef const char *session(Reactor r, Turns *turns, const uint8_t *data, size_t size) noexcept nogil:
    cdef Input input = Input(data, data + size)
    cdef uint8_t how = choice(&input, 255)
    cdef uint8_t which = choice(&input, ANSWERS)
    cdef uint32_t step = <uint32_t> 1 << 2 * (1 + how % 8)
    cdef bint reads = how & 8
    cdef uint8_t[4] address
    cdef int[2] pair
    cdef uint32_t used = put(0, PREFACE, <uint32_t> strlen(PREFACE))
    cdef uint32_t sent = 0
    cdef uint64_t before = buffers_total()      # of other engines of this process
    cdef int _
    while input.at < input.end:
        used = put_frame(used, &input)
    if socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0:
        return b"no descriptor is left"
    address[0], address[1], address[2], address[3] = 127, 0, 0, 1
    downstream_adopt(r, &listener, pair[0], AF_INET, address, 1)
    while sent < used:
        send(pair[1], frames + sent, min(step, used - sent), MSG_DONTWAIT | MSG_NOSIGNAL)
        sent += min(step, used - sent)
        turn(r, turns)
        serve(which)
        if reads:
            recv(pair[1], discarded, sizeof(discarded), MSG_DONTWAIT)
    for _ in range(4):
        turn(r, turns)
        serve(which)
        if reads:
            recv(pair[1], discarded, sizeof(discarded), MSG_DONTWAIT)
    close(pair[1])
    for _ in range(ROUNDS):
        if r.downstreams == 0 and r.exchanges == 0 and r.carried == 0 and buffers_total() <= before:
            return NULL
        turn(r, turns)
        serve(which)
    return b"a connection, a stream or an exchange does not end" if r.downstreams or r.exchanges or r.carried \
        else b"memory of buffers is not freed"


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
