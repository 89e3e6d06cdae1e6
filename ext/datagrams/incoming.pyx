"""Datagrams of clients; see incoming.pxd.

A datagram is passed on or lost: nothing is kept for an endpoint whose socket has no room. What one visit may cost is
bounded: it reads at most BATCH datagrams, fewer if they are large, and fewer late in a turn. The number follows what the
visit before has found, so that a quiet socket avoids the call that returns EAGAIN.
"""

from libc.errno cimport EAGAIN, EINTR, EMSGSIZE, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from fastroute.ext.datagrams.address cimport key_read
from fastroute.ext.datagrams.flow cimport (
    flow_begin, flow_end, flow_fail, flow_follows, flow_prove, flow_touch, is_unreachable,
)
from fastroute.ext.datagrams.replies cimport reader_work
from fastroute.ext.datagrams.segments cimport is_indivisible, segments_fit, segments_join
from fastroute.ext.message.reason cimport REASON_NO_ENDPOINT, REASON_NONE
from fastroute.ext.reactor.batch cimport BATCH, CONTROL, Batch, slot_of
from fastroute.ext.reactor.counters cimport FIXED_UDP_RECEIVED, count
from fastroute.ext.reactor.flow cimport Flow, FlowKey, UdpPlace, flow_find
from fastroute.ext.reactor.inet cimport (
    MSG_DONTWAIT, MSG_NOSIGNAL, msghdr, recvmmsg, send, sendmmsg, sendmsg, sockaddr_in6,
)
from fastroute.ext.reactor.reactor cimport LONGEST, read_clock

cdef enum:
    BYTES = 262144              # a visit that has read more reads half as many datagrams the next time
    COST = 16                   # microseconds that one datagram may take, if it begins a flow

cdef struct Run:                # datagrams of one flow, one after another, in `sent` of the batch
    Flow *flow
    uint32_t count


cdef uint32_t affordable(Reactor r, uint32_t wanted) noexcept nogil:
    """How many datagrams a visit may read now."""
    cdef int64_t left = (<int64_t> (r.begun + LONGEST) - <int64_t> r.now) // COST
    return wanted if left > <int64_t> wanted else <uint32_t> left if left > 1 else 1


cdef void incoming_read(Reactor r, Connection *c) noexcept nogil:
    cdef Batch *batch = r.flows.batch
    cdef UdpPlace *place = r.flows.places[c.listener]
    cdef uint32_t most = affordable(r, c.requests)
    cdef uint64_t bytes = 0
    cdef Run run
    cdef int found, i
    if r.upstreams.left is not NULL:        # during an installation, whose end wakes the engine
        reader_work(r)
    for i in range(<int> most):
        batch.received[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6)
        batch.received[i].msg_hdr.msg_control = &batch.controls[i] if place.everywhere else NULL
        batch.received[i].msg_hdr.msg_controllen = CONTROL if place.everywhere else 0
    found = recvmmsg(c.fd, batch.received, most, MSG_DONTWAIT, NULL)
    if found <= 0:
        return
    count(r.counters, FIXED_UDP_RECEIVED, found)
    run.flow = NULL
    run.count = 0
    for i in range(found):
        bytes += batch.received[i].msg_len
        take(r, c.listener, batch, <uint32_t> i, &run)
    forward(r, batch, &run)
    read_clock(r)
    if bytes > BYTES:
        c.requests = max(most // 2, <uint32_t> 1)
    elif <uint32_t> found == most:
        c.requests = min(most * 2, <uint32_t> BATCH)
    else:
        c.requests = found


cdef void take(Reactor r, uint32_t index, Batch *batch, uint32_t i, Run *run) noexcept nogil:
    """One datagram: adds it to the run of its flow. The run of another flow is passed on first."""
    cdef UdpPlace *place = r.flows.places[index]
    cdef FlowKey key
    cdef Flow *flow = run.flow
    if not key_read(&key, index, place.everywhere, &batch.received[i].msg_hdr):
        return
    if flow is NULL or memcmp(&flow.key, &key, sizeof(FlowKey)) != 0:
        forward(r, batch, run)
        flow = flow_for(r, &key, flow_find(&r.flows, &key))
        if flow is NULL:
            return
    flow.received += batch.received[i].msg_len
    if flow.endpoint is NULL:
        return
    run.flow = flow
    batch.parts[run.count].iov_base = slot_of(batch, i)
    batch.parts[run.count].iov_len = batch.received[i].msg_len
    run.count += 1


cdef Flow *flow_for(Reactor r, const FlowKey *key, Flow *flow) noexcept nogil:
    """The flow that passes on datagrams with this key: `flow` if it still may, otherwise a new one. NULL: they are lost."""
    if flow is not NULL and not flow_follows(r, flow):
        flow = NULL
    elif flow is not NULL and flow.reason == REASON_NO_ENDPOINT and flow.target.backend.count:
        flow_end(r, flow, REASON_NONE)
        flow = NULL
    if flow is NULL:
        return flow_begin(r, key)
    if flow.endpoint is not NULL:
        flow_touch(r, flow)
        if flow.tests:
            flow_prove(r, flow)
    return flow


cdef int pass_together(Batch *batch, Flow *flow, uint32_t first, uint32_t most) noexcept nogil:
    """Sends several of these datagrams together. Returns their number; 0: they cannot be sent so; -1 with errno."""
    cdef uint32_t fit = 1 if flow.single else segments_fit(batch, first, most)
    cdef msghdr message
    cdef int _
    if fit == 1:
        return 0
    memset(&message, 0, sizeof(msghdr))
    message.msg_control = &batch.sent_controls[0]
    segments_join(batch, &message, first, fit)
    for _ in range(2):          # the first EMSGSIZE may be news about the path: then nothing was sent, but can be
        if sendmsg(flow.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0:
            return <int> fit
        if errno != EMSGSIZE:
            break
    if not is_indivisible(errno):
        return -1
    flow.single = True
    return 0


cdef int pass_on(Batch *batch, Flow *flow, uint32_t first, uint32_t most) noexcept nogil:
    """Sends the first of these datagrams, or several. Returns their number, or -1 with errno."""
    cdef int fd = flow.fd
    cdef int done
    cdef uint32_t i
    if most == 1:
        return 1 if send(fd, batch.parts[first].iov_base, batch.parts[first].iov_len,
                         MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 else -1
    done = pass_together(batch, flow, first, most)
    if done != 0:
        return done
    for i in range(first, first + most):
        batch.sent[i].msg_hdr.msg_name = NULL
        batch.sent[i].msg_hdr.msg_namelen = 0
        batch.sent[i].msg_hdr.msg_control = NULL
        batch.sent[i].msg_hdr.msg_controllen = 0
    return sendmmsg(fd, &batch.sent[first], most, MSG_NOSIGNAL | MSG_DONTWAIT)


cdef void forward(Reactor r, Batch *batch, Run *run) noexcept nogil:
    """Passes the run on. If the kernel has noted since the last call that the endpoint cannot be reached, the datagram was
    not sent: the flow ends, and a new one, to another endpoint if possible, gets it. If it has noted that the path takes
    only smaller packets, it divides the datagram the next time."""
    cdef Flow *flow = run.flow
    cdef FlowKey key
    cdef uint32_t done = 0
    cdef bint again = False
    cdef bint divides = False
    cdef int sent
    while done < run.count:
        sent = pass_on(batch, flow, done, run.count - done)
        if sent > 0:
            done += <uint32_t> sent
        elif is_unreachable(errno) and not again:
            again = True
            key = flow.key
            flow_fail(r, flow)
            flow = flow_begin(r, &key)
            if flow is NULL or flow.endpoint is NULL:
                break
        elif errno == EMSGSIZE and not divides:
            divides = True
        elif errno == EAGAIN:   # the socket has no room: neither for the others
            break
        elif errno != EINTR:    # this one cannot be sent
            done += 1
    run.flow = NULL
    run.count = 0
