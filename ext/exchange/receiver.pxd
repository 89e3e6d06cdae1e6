# How many bytes the kernel of a peer may hold that the peer has not read yet, and when it acknowledges more.
#
# Linux acknowledges in steps. When the receive buffer is full, the kernel announces a window of 0. It announces
# a new window only when the application has read a sixteenth of the buffer (__tcp_select_window), and some packets of
# up to 64 KiB more, because it frees their memory as a whole. So an application that reads 15 KB/s from a buffer of
# 33 MB acknowledges nothing for 140 s.
#
# TCP_INFO does not contain the size of this buffer, and the window is 0 when the size is needed. The kernel of the peer
# holds at most what it has acknowledged on this connection, and at most about twice the largest window that its window
# scale can express.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    HELD_MOST = 67108864        # bytes that a kernel is assumed to hold at most: twice the usual maximum (tcp_rmem)
    # In addition to a sixteenth. Measured: at most 400 KiB, with buffers of 16 KiB to 64 MiB, over loopback and veth
    STEP_MORE = 524288
    UNANSWERED = 3              # probes of its closed window in a row after which a peer is considered gone

# The most bytes that the peer may have to read until its kernel acknowledges more. 0: the kernel of the peer does not
# respond. One system call. A stream's peer may also read half of its window before it opens it again.
cdef uint32_t receiver_step(Reactor r, const Connection *c) noexcept nogil
# The bytes that the kernel of a stream's peer has acknowledged so far, for all streams of the connection. One system call.
cdef uint64_t receiver_acknowledged(Reactor r, const Connection *s) noexcept nogil
