"""One turn of the engine; see turn.pxd.

A turn fetches events and handles them, then visits each connection in the ready list, and handles deadlines that have
passed. It ends when nothing is left or its time is up. If more events may have arrived than were fetched, the visits take
as long as the events did, and the next events are fetched: visits cause events (a connection to a backend fails), and
those of others must not wait behind more and more of them.

If so many events have arrived, they are only noted: the connections of clients that they are for are put into the ready
list, which has an order (reactor/order). Otherwise an event is handled at once, which costs less.

While traffic goes on, turns follow one another for up to ROW, and wait for events in between: returning through Python
and trio after each turn would cost more than the turn, if only a few events arrive at a time. They return at once when
trio has work to do on a descriptor passed to Engine.heed. All other work of trio in a worker (timers, signals) may be
late by ROW.

A turn is a sequence of steps: an event, a visit, a deadline, some connections that are accepted or examined. The clock is
read after each, so a turn takes longer than BUDGET by one step. A step relays in one direction if the time is up after
that, and late in a turn it reads less (`portion`), for an end within LONGEST, which most turns meet. A handshake step
cannot be divided: libssl computes a signature at once, which takes 4 ms with the largest key of the gateway, and verifies
all certificates of a backend or a client at once, which takes a few milliseconds with the largest keys and the most names
that are allowed (tls/keycost, tls/namecost). So a turn has at most one step of a handshake that takes longer than
AT_ONCE: all others wait after it (reactor/waiting), and events that have arrived meanwhile come before the next one.

The search for connections to end and handshakes that wait have parts of BUDGET for themselves, in which no other step
begins.
"""

from libc.stdint cimport uint32_t, uint64_t
from posix.time cimport itimerspec

from fastroute.ext.engine.drain cimport drain_on
from fastroute.ext.engine.listener cimport listeners_can_resume, listeners_resume
from fastroute.ext.engine.side cimport SIDE_ROWS
from fastroute.ext.engine.visit cimport parent_expired, visit
from fastroute.ext.exchange.downstream cimport downstream_shake
from fastroute.ext.exchange.relief cimport relieve
from fastroute.ext.exchange.upstream cimport upstream_forget
from fastroute.ext.memory.buffer cimport buffers_total
from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.reactor.connection cimport (
    LAYER_STREAM, SIDE_DOWNSTREAM, SIDE_UPSTREAM, STATE_POOLED, Connection, handle_of, slab_exhume, slab_find,
)
from fastroute.ext.reactor.counters cimport FIXED_BUFFERED, FIXED_TURNS, FIXED_WORST_TURN, count, load_word, store_word
from fastroute.ext.reactor.epoll cimport (
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, epoll_event,
    epoll_wait,
)
from fastroute.ext.reactor.order cimport Visit, order_charge, order_next
from fastroute.ext.reactor.reactor cimport BUDGET, MILLISECOND, note_urgent, queue, read_clock, read_wall_clock
from fastroute.ext.reactor.stream cimport parent_of
from fastroute.ext.reactor.timer cimport timer_expired, timer_next
from fastroute.ext.reactor.waiting cimport AT_ONCE, waiting_next

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *descriptors, unsigned long count, int timeout)

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_settime(int fd, int flags, const itimerspec *value, itimerspec *old)
    int TFD_TIMER_ABSTIME

cdef enum:
    ROW = 200000            # microseconds after which no further turn begins in a row
    SHARE = 500             # microseconds of BUDGET for handshakes that wait; at least one of them continues
    RELIEF = 500            # microseconds of BUDGET for the search for connections to end, if the buffers are full
    VISITS = 500            # microseconds of BUDGET for visits, if many deadlines have passed
    MOVES = 32              # deadlines that a step moves to later slots of the wheel
    LOG_AGE = 500           # maximum milliseconds until a log line is written


cdef bint take_turns(Reactor r, Turns *turns) noexcept nogil:
    cdef uint64_t begun = microseconds_now()
    cdef uint64_t passed
    while True:
        if turn(r, turns):
            if r.milliseconds < r.hurried or microseconds_now() - begun >= ROW:
                return True
            continue
        passed = microseconds_now() - begun
        if r.milliseconds < r.hurried or passed >= ROW:
            return False
        turns.waits += 1
        if not fetch(r, turns, <int> ((ROW - passed) // MILLISECOND + 1)):
            return False


cdef bint turn(Reactor r, Turns *turns) noexcept nogil:
    cdef uint64_t start
    cdef bint more
    read_clock(r)
    read_wall_clock(r)
    start = r.begun = r.now
    r.turn += 1
    slab_exhume(&r.slab)
    if r.upstreams.pools.unused is not NULL:
        upstream_forget(r)
    if r.undrained != 0:
        drain_on(r)
    r.waiting.spent = r.waiting.longest = 0
    more = visit_all(r, turns, start)
    if r.waiting.flows.count:
        shake_waiting(r, start)
    flush_log(r)
    arm(r)
    read_clock(r)
    more = (more or r.order.count != 0 or r.waiting.flows.count != 0 or r.upstreams.pools.unused is not NULL
            or r.undrained != 0 or listeners_can_resume(r))
    turns.made += 1
    store_word(&r.counters.words[<uint32_t> FIXED_BUFFERED], buffers_total())
    count(r.counters, FIXED_TURNS, 1)
    note_worst(r, &turns.worst, r.now - start)
    return more


cdef bint is_over(Reactor r, uint64_t start) noexcept nogil:
    """Whether the turn begins no further step, except those of the search and of handshakes."""
    cdef uint64_t kept = RELIEF if buffers_total() > r.max_buffered else 0
    if r.waiting.flows.count:
        kept += SHARE
    return r.now - start + kept > BUDGET


cdef void shake_waiting(Reactor r, uint64_t start) noexcept nogil:
    """Continues handshakes until they have had SHARE, or BUDGET is over; at least one in each turn."""
    cdef uint64_t until = start + BUDGET
    read_clock(r)
    if r.waiting.spent == 0:
        until = max(until, r.now + 1)
    while r.waiting.spent < SHARE and r.now < until and shake_next(r):
        pass


cdef bint shake_next(Reactor r) noexcept nogil:
    """Continues the handshake that is next. False: none waits."""
    cdef Connection *c = waiting_next(&r.waiting, &r.slab, r.milliseconds)
    if c is NULL:
        return False
    read_clock(r)
    if c.side == SIDE_UPSTREAM:
        c.tls.granted = True
        visit(r, c)
    else:
        downstream_shake(r, c)
    return True


cdef bint fetch(Reactor r, Turns *turns, int timeout) noexcept nogil:
    """Fetches events, waiting at most `timeout` milliseconds. True if there are any."""
    turns.next = 0
    turns.count = epoll_wait(r.epoll, turns.events, EVENTS, timeout)
    read_clock(r)
    look_at_pools(r, turns)
    return turns.count > 0


cdef void look_at_pools(Reactor r, Turns *turns) noexcept nogil:
    """Notes the events of idle upstream connections, and of those with streams, before all others: a request in the same
    batch must not get a connection that has ended or has sent unexpected bytes."""
    cdef Connection *c
    cdef int i
    for i in range(turns.count):
        c = slab_find(&r.slab, turns.events[i].data.u64)
        if c is not NULL and c.side == SIDE_UPSTREAM and (c.state == STATE_POOLED or c.parent is not NULL):
            note_events(c, turns.events[i].events)


cdef bint visit_all(Reactor r, Turns *turns, uint64_t start) noexcept nogil:
    """Handles events, deadlines and the ready list until all are empty. True: the time was up before that."""
    cdef uint64_t begun, until
    while True:
        if turns.next >= turns.count:
            if is_over(r, start):
                return True
            fetch(r, turns, 0)
        begun = r.now
        while turns.next < turns.count:
            if is_over(r, start):
                return True
            handle_event(r, &turns.events[turns.next], turns.count == EVENTS)
            turns.next += 1
        if buffers_total() > r.max_buffered and not relieve(r, start):
            return True
        if not expire(r, start - VISITS if r.order.count != 0 else start):
            visit_ready(r, turns, start, start + BUDGET)   # many deadlines at once must not take all turns
            return True
        if listeners_can_resume(r):
            listeners_resume(r)
        if r.order.count == 0 and turns.count < EVENTS and not listeners_can_resume(r):
            if r.waiting.flows.count == 0:
                return buffers_total() > r.max_buffered and not relieve(r, start)
            if r.now - start > BUDGET or r.waiting.longest >= AT_ONCE:
                return True         # one long step of a handshake in a turn
            shake_next(r)           # one, then other work that may have arrived meanwhile
            if r.waiting.flows.count != 0 or r.order.count != 0:
                continue
            return buffers_total() > r.max_buffered and not relieve(r, start)
        until = r.now + (r.now - begun) if turns.count == EVENTS else start + BUDGET
        if not visit_ready(r, turns, start, until):
            return True


cdef bint visit_ready(Reactor r, Turns *turns, uint64_t start, uint64_t until) noexcept nogil:
    """Makes as many visits as connections have work now, but at least one and none after `until`. False: the time of the
    turn was up before that; then the next turn makes at least one."""
    cdef uint32_t left = r.order.count
    cdef bint visited = False
    cdef Visit next
    while left != 0 and r.order.count != 0:
        if is_over(r, start) and (visited or not turns.unvisited):
            turns.unvisited = not visited
            return False
        if not visited:
            read_clock(r)       # the time of the last event is not that of the first visit
        elif r.now >= until:
            return True
        visited = True
        turns.unvisited = False
        left -= 1
        next = order_next(&r.order, &r.slab, r.now)
        visit(r, next.c)
        read_clock(r)
        order_charge(&r.order, &r.slab, &next, r.now)
    return True


cdef void handle_event(Reactor r, const epoll_event *event, bint busy) noexcept nogil:
    """`busy`: more events may have arrived."""
    cdef Connection *c = slab_find(&r.slab, event.data.u64)
    if c is NULL:
        return
    read_clock(r)
    note_events(c, event.events)
    if c.parent is not NULL:
        queue(r, c)             # it shares the turn with others, however many streams it has
    elif not busy or not put_in_order(r, c):
        SIDE_ROWS[c.side].advance(r, c)


cdef bint put_in_order(Reactor r, Connection *c) noexcept nogil:
    """Queues the connection of the client that the event is for. False: there is none."""
    if c.side == SIDE_UPSTREAM:
        c = slab_find(&r.slab, c.owner)
    if c is NULL or c.side != SIDE_DOWNSTREAM:
        return False
    queue(r, c)
    return True


cdef void note_events(Connection *c, uint32_t events) noexcept nogil:
    if events & EPOLLOUT:
        c.writable = True
    if events & EPOLLPRI:
        note_urgent(c)
    if events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR):     # a single urgent byte causes only EPOLLPRI
        c.readable = True
        if c.tls is not NULL:
            c.tls.lent = False
        if events & EPOLLRDHUP:
            c.ended = True
        if events & (EPOLLHUP | EPOLLERR):
            c.failed = True


cdef bint expire(Reactor r, uint64_t start) noexcept nogil:
    """Handles the deadlines that have passed, in at least one step: events must not delay them turn after turn. False: the
    time was up before that."""
    cdef Connection *c
    cdef uint32_t steps
    while True:
        steps = MOVES
        c = timer_expired(&r.wheel, &r.slab, r.milliseconds, &steps)
        if c is NULL and steps != 0:
            return True
        if c is not NULL and is_late(r, c):
            c.deadline = 0
            if c.parent is not NULL:
                parent_expired(r, c)
            else:
                SIDE_ROWS[c.side].expired(r, c)
        read_clock(r)
        if is_over(r, start):
            return False


cdef bint is_late(Reactor r, Connection *c) noexcept nogil:
    """Whether the deadline counts. If this process did not run for a while (a CPU limit, a busy node), bytes of the client
    or the backend may have arrived in time that were not fetched or not handled yet. They are handled first, and may
    replace the deadline."""
    cdef uint64_t handle = handle_of(c)
    cdef uint64_t deadline = c.deadline
    cdef uint64_t client = handle if c.side == SIDE_DOWNSTREAM else c.owner
    cdef uint64_t backend = handle
    cdef bint news
    if c.side != SIDE_DOWNSTREAM and c.side != SIDE_UPSTREAM:
        return True
    if c.side == SIDE_DOWNSTREAM:
        backend = c.exchange.upstream if c.exchange is not NULL else 0
    news = catch_up(r, backend)
    news = catch_up(r, client) or news
    if not news:
        return True
    c = slab_find(&r.slab, client)
    if c is NULL:
        c = slab_find(&r.slab, handle)      # idle, a mirror, or a parent
    if c is not NULL:
        visit(r, c)
    c = slab_find(&r.slab, handle)
    return c is not NULL and c.deadline == deadline


cdef bint catch_up(Reactor r, uint64_t handle) noexcept nogil:
    """Notes the events of a connection that were not fetched yet, and lets the parent of a stream read. Whether there may
    be something to handle."""
    cdef Connection *c = slab_find(&r.slab, handle)
    cdef Connection *socket = c
    cdef uint32_t events
    if c is not NULL and c.layer == LAYER_STREAM:
        socket = parent_of(r, c)
    if c is NULL or socket is NULL:
        return False
    events = new_events(socket)
    note_events(socket, events)
    if events == 0 and not socket.queued and not c.queued:
        return False
    if socket.index != c.index:
        visit(r, socket)
    return True


cdef uint32_t new_events(const Connection *c) noexcept nogil:
    """The events of a socket that were not fetched yet."""
    cdef pollfd found
    found.fd = c.fd
    found.events = <short> ((0 if c.readable else EPOLLIN) | (0 if c.writable else EPOLLOUT))
    if found.events == 0 or poll(&found, 1, 0) <= 0:
        return 0
    return found.revents & (EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR)


cdef void arm(Reactor r) noexcept nogil:
    """Sets the timerfd to the next deadline, unless it is set to an earlier time."""
    cdef uint64_t next = timer_next(&r.wheel)
    cdef uint64_t log = r.flushed + LOG_AGE if has_lines(r) else 0
    if next == 0 or (log != 0 and log < next):
        next = log
    if next == 0 or (r.armed != 0 and r.armed <= next):
        return
    if r.held == 0:
        ring(r, next)
    elif next <= r.milliseconds:        # a test moves a stopped clock, not the timerfd: that expires at once
        ring(r, 1)


cdef void ring(Reactor r, uint64_t when) noexcept nogil:
    """Sets the timerfd (milliseconds; never 0)."""
    cdef itimerspec value
    r.armed = when
    value.it_interval.tv_sec = value.it_interval.tv_nsec = 0
    value.it_value.tv_sec = when // 1000
    value.it_value.tv_nsec = (when % 1000) * 1000000
    timerfd_settime(r.timer, TFD_TIMER_ABSTIME, &value, NULL)


cdef inline bint has_lines(Reactor r) noexcept nogil:
    return (r.logs and r.log.used) or (r.traces and r.spans.used)


cdef void flush_log(Reactor r) noexcept nogil:
    if has_lines(r) and r.milliseconds >= r.flushed + LOG_AGE:
        r.flushed = r.milliseconds
        if r.logs:
            r.log.flush()
        if r.traces:
            r.spans.flush()


cdef void note_worst(Reactor r, uint64_t *worst, uint64_t took) noexcept nogil:
    if took > worst[0]:
        worst[0] = took
    if took > load_word(&r.counters.words[<uint32_t> FIXED_WORST_TURN]):
        store_word(&r.counters.words[<uint32_t> FIXED_WORST_TURN], took)
