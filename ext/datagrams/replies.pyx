"""Datagrams of endpoints; see replies.pxd.

The sockets are watched level-triggered: a socket that was not emptied is reported again. The kernel reports those that stay
ready in the same order each time, so events that a visit has no time for are kept, and the next visit begins with them:
otherwise it would read the same flows again. A visit of one flow reads one datagram, or more if the visit before found
more, unless they are large. Replies of several flows wait in the batch until one call sends them.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport close

from fastroute.ext.datagrams.address cimport key_write
from fastroute.ext.datagrams.changes cimport changes_apply
from fastroute.ext.datagrams.flow cimport flow_end, flow_fail, flow_follows, flow_touch, is_unreachable
from fastroute.ext.datagrams.segments cimport is_indivisible, segments_fit, segments_join
from fastroute.ext.message.reason cimport REASON_DRAINED, REASON_NONE
from fastroute.ext.reactor.batch cimport BATCH, DATAGRAM, Batch, slot_of
from fastroute.ext.reactor.connection cimport SIDE_FLOWS, handle_of, slab_find
from fastroute.ext.reactor.counters cimport FIXED_UDP_SENT, count
from fastroute.ext.reactor.epoll cimport EPOLL_CLOEXEC, EPOLLERR, epoll_create1, epoll_event, epoll_wait
from fastroute.ext.reactor.flow cimport FLOWS_EVENTS, Flow, Flows, flow_at, flow_handle, flow_of
from fastroute.ext.reactor.inet cimport (
    MSG_DONTWAIT, MSG_ERRQUEUE, MSG_NOSIGNAL, msghdr, recv, recvmmsg, recvmsg, sendmmsg,
)
from fastroute.ext.reactor.reactor cimport (
    INTEREST_CLIENTS, LONGEST, close_connection, open_connection, queue, read_clock, set_deadline,
)
from fastroute.ext.routing.balancer cimport endpoint_succeeded

cdef enum:
    TIME = 300                  # microseconds after which a visit reads no further flow, or ends no further one
    BURST = 8                   # datagrams of one flow
    BYTES = 65536               # of one flow: after more, it is read half as many datagrams the next time
    ERRORS = 8                  # messages of the kernel that are discarded at once
    DRAIN = 1000                # milliseconds that flows may go on in a drain


# --- the reader


cdef int reader_open(Reactor r) noexcept nogil:
    cdef int fd = epoll_create1(EPOLL_CLOEXEC)
    cdef Connection *reader
    if fd < 0:
        return -1
    reader = open_connection(r, fd, SIDE_FLOWS, INTEREST_CLIENTS)
    if reader is NULL:
        close(fd)
        return -1
    r.flows.reader = handle_of(reader)
    return 0


cdef void reader_work(Reactor r) noexcept nogil:
    cdef Connection *reader = slab_find(&r.slab, r.flows.reader)
    if reader is not NULL:
        queue(r, reader)


cdef void reader_close(Reactor r, Connection *reader) noexcept nogil:
    while r.flows.used.first != 0:
        flow_end(r, flow_at(&r.flows, r.flows.used.first), REASON_DRAINED)
    r.flows.reader = 0
    close_connection(r, reader)


cdef void reader_drain(Reactor r, Connection *reader) noexcept nogil:
    r.flows.leave_at = r.milliseconds + DRAIN
    if reader.deadline == 0 or reader.deadline > r.flows.leave_at:
        set_deadline(r, reader, r.flows.leave_at)


cdef void reader_expired(Reactor r, Connection *reader) noexcept nogil:
    cdef Flows *flows = &r.flows
    cdef bint leaves = flows.leave_at != 0 and r.milliseconds >= flows.leave_at
    cdef uint64_t until = r.now + TIME
    cdef Flow *flow
    while flows.used.first != 0:
        flow = flow_at(flows, flows.used.first)
        if not leaves and flow.used + flows.idle > r.milliseconds:
            set_deadline(r, reader, flow.used + flows.idle)
            break
        if r.now > until:
            set_deadline(r, reader, r.milliseconds + 1)
            break
        flow_end(r, flow, REASON_DRAINED if leaves else REASON_NONE)
        read_clock(r)
    if flows.leave_at > r.milliseconds and (reader.deadline == 0 or reader.deadline > flows.leave_at):
        set_deadline(r, reader, flows.leave_at)


cdef void reader_advance(Reactor r, Connection *reader) noexcept nogil:
    cdef Flows *flows = &r.flows
    cdef uint64_t until = min(r.now + TIME, r.begun + LONGEST)
    if changes_apply(r, until):
        queue(r, reader)
    while True:
        if flows.next >= flows.found:
            flows.next = 0
            flows.found = epoll_wait(reader.fd, flows.events, FLOWS_EVENTS, 0)
        while flows.next < flows.found:
            answer(r, &flows.events[flows.next])
            flows.next += 1
            read_clock(r)
            if r.now > until:
                break
        send_replies(r)
        read_clock(r)
        if flows.found < FLOWS_EVENTS or r.now > until:
            return


# --- replies


cdef void answer(Reactor r, const epoll_event *event) noexcept nogil:
    """Reads from one flow. Its replies wait in the batch."""
    cdef Batch *batch = r.flows.batch
    cdef Flow *flow = flow_of(&r.flows, event.data.u64)
    cdef uint32_t most
    if flow is NULL or not flow_follows(r, flow):
        return
    if batch.used == BATCH or batch.place != flow.key.place:
        send_replies(r)
    batch.place = flow.key.place
    most = min(<uint32_t> flow.burst, BATCH - batch.used)
    if listen(r, batch, flow, most):
        if event.events & EPOLLERR:
            discard_errors(flow.fd)
        return
    # The endpoint cannot be reached. What it has sent before is passed on.
    listen(r, batch, flow, BATCH - batch.used)
    flow_fail(r, flow)


cdef int read_some(Batch *batch, int fd, uint32_t most) noexcept nogil:
    """Returns the number of datagrams, which are in the slots from `used` on, or -1 with errno."""
    cdef ssize_t size
    if most != 1:
        return recvmmsg(fd, &batch.heard[batch.used], most, MSG_DONTWAIT, NULL)
    size = recv(fd, slot_of(batch, batch.used), DATAGRAM, MSG_DONTWAIT)
    if size < 0:
        return -1
    batch.heard[batch.used].msg_len = <unsigned int> size
    return 1


cdef bint listen(Reactor r, Batch *batch, Flow *flow, uint32_t most) noexcept nogil:
    """Reads at most so many datagrams of the endpoint. False: it cannot be reached."""
    cdef uint64_t bytes = 0
    cdef int found, _
    if most == 0:
        return True
    found = read_some(batch, flow.fd, most)
    if found < 0:
        return not is_unreachable(errno)
    for _ in range(found):
        bytes += batch.heard[batch.used].msg_len
        put_reply(batch, flow)
    flow.sent += bytes
    flow_touch(r, flow)
    if flow.endpoint.failures:
        endpoint_succeeded(flow.endpoint)
    flow.tests = False
    if bytes > BYTES:
        flow.burst = 1 if flow.burst == 1 else flow.burst // 2
    elif <uint32_t> found == most and most < BURST:
        flow.burst = <uint8_t> min(2 * most, <uint32_t> BURST)
    elif <uint32_t> found < most:
        flow.burst = <uint8_t> max(found, 1)
    return True


cdef void put_reply(Batch *batch, const Flow *flow) noexcept nogil:
    """Adds the datagram in the next slot to those that wait."""
    cdef uint32_t i = batch.used
    batch.parts[i].iov_base = slot_of(batch, i)
    batch.parts[i].iov_len = batch.heard[i].msg_len
    batch.senders[i] = 0 if flow.single else flow_handle(flow)
    key_write(&flow.key, &batch.sent[i].msg_hdr, &batch.sent_names[i], &batch.sent_controls[i])
    batch.used += 1


cdef uint32_t join_replies(Batch *batch, uint32_t first) noexcept nogil:
    """Fills `joined` with the replies from `first` on: those of one flow that follow each other are one message if
    possible. Returns the number of messages."""
    cdef uint32_t messages = 0
    cdef uint32_t most, fit
    while first < batch.used:
        most = 1
        while first + most < batch.used and batch.senders[first] and batch.senders[first + most] == batch.senders[first]:
            most += 1
        fit = segments_fit(batch, first, most)
        batch.joined[messages] = batch.sent[first]
        if fit > 1:
            batch.joined[messages].msg_hdr.msg_control = &batch.sent_controls[first]
            segments_join(batch, &batch.joined[messages].msg_hdr, first, fit)
        messages += 1
        first += fit
    return messages


cdef uint32_t separate(Reactor r, Batch *batch, uint32_t first) noexcept nogil:
    """The datagrams of this reply's flow cannot be sent together. Returns the number of messages from now on."""
    cdef Flow *flow = flow_of(&r.flows, batch.senders[first])
    cdef uint64_t sender = batch.senders[first]
    cdef uint32_t i
    if flow is not NULL:
        flow.single = True
    for i in range(first, batch.used):
        if batch.senders[i] == sender:
            batch.senders[i] = 0
    return join_replies(batch, first)


cdef void send_replies(Reactor r) noexcept nogil:
    """Sends those that wait. A datagram that cannot be sent is lost."""
    cdef Batch *batch = r.flows.batch
    cdef uint32_t messages = join_replies(batch, 0)
    cdef uint32_t next = 0          # message
    cdef uint32_t done = 0          # datagrams
    cdef uint32_t total = 0
    cdef int sent, _
    while next < messages:
        sent = sendmmsg(r.flows.places[batch.place].fd, &batch.joined[next], messages - next,
                        MSG_NOSIGNAL | MSG_DONTWAIT)
        if sent > 0:
            for _ in range(sent):
                done += <uint32_t> batch.joined[next].msg_hdr.msg_iovlen
                total += <uint32_t> batch.joined[next].msg_hdr.msg_iovlen
                next += 1
        elif errno == EAGAIN:       # the socket has no room
            break
        elif batch.joined[next].msg_hdr.msg_iovlen > 1 and is_indivisible(errno):
            messages = separate(r, batch, done)
            next = 0
        elif errno != EINTR:
            done += <uint32_t> batch.joined[next].msg_hdr.msg_iovlen
            next += 1
    batch.used = 0
    if total:
        count(r.counters, FIXED_UDP_SENT, total)


cdef void discard_errors(int fd) noexcept nogil:
    """Otherwise the socket would be reported until its messages about errors are read."""
    cdef msghdr message
    cdef int _
    memset(&message, 0, sizeof(msghdr))
    for _ in range(ERRORS):
        if recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0:
            return
