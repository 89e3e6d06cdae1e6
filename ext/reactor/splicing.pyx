"""Splicing; see splicing.pxd.

The kernel moves references to pages instead of bytes. A short result does not show that the sender has no more: a pipe has
slots for pages, and a page may be nearly empty.

A worker opens the pipe before it is confined. Without a pipe, and if the kernel refuses to splice, bytes are copied.
"""

from libc.errno cimport EAGAIN, EBADF, EINTR, EINVAL, ENOSYS, EPERM, errno
from libc.stdint cimport int64_t, uint32_t
from posix.unistd cimport close, read

from fastroute.ext.memory.buffer cimport buffer_reserve
from fastroute.ext.reactor.connection cimport LAYER_SOCKET
from fastroute.ext.reactor.reactor cimport SCRATCH, await_room

cdef extern from "<fcntl.h>" nogil:
    int pipe2(int *ends, int flags)
    int fcntl(int fd, int command, ...)
    ssize_t splice(int from_fd, int64_t *from_at, int to_fd, int64_t *to_at, size_t size, unsigned int flags)
    int O_CLOEXEC, O_NONBLOCK, F_SETPIPE_SZ, SPLICE_F_MOVE, SPLICE_F_NONBLOCK

cdef enum:
    PIPE_BYTES = 1048576        # what every process may ask for: it has a slot for each 4 KiB

cdef int entrance = -1          # of the pipe; -1: there is none
cdef int outlet = -1


def open_pipe():
    """Opens the pipe of this process, once. Returns whether there is one."""
    global entrance, outlet
    cdef int ends[2]
    if entrance < 0 and pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0:
        outlet, entrance = ends[0], ends[1]
        fcntl(entrance, F_SETPIPE_SZ, <int> PIPE_BYTES)     # if it is refused, the pipe stays smaller
    return entrance >= 0


cdef void close_pipe() noexcept nogil:
    global entrance, outlet
    close(entrance)
    close(outlet)
    entrance = outlet = -1


cdef bint can_splice(const Connection *sender, const Connection *receiver) noexcept nogil:
    return entrance >= 0 and sender.layer == LAYER_SOCKET and receiver.layer == LAYER_SOCKET


cdef long move(int source, int target, uint32_t size) noexcept nogil:
    cdef ssize_t moved
    while True:
        moved = splice(source, NULL, target, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
        if moved >= 0 or errno != EINTR:
            return moved


cdef long splice_between(Reactor r, Connection *sender, Connection *receiver, uint32_t room) noexcept nogil:
    cdef long size = move(sender.fd, entrance, room)
    if size < 0:
        return missed(sender)
    if size == 0:
        return 0                # its end, or urgent data before its end: a read finds out
    return size if deliver(r, receiver, <uint32_t> size) else <long> SPLICE_LOST


cdef long missed(Connection *sender) noexcept nogil:
    """Nothing came from the sender, with errno."""
    if errno == EINVAL or errno == ENOSYS or errno == EPERM or errno == EBADF:
        close_pipe()            # from now on, bytes are copied
        return 0
    sender.readable = False
    if errno == EAGAIN:
        return 0
    sender.failed = True
    return -2


cdef bint deliver(Reactor r, Connection *receiver, uint32_t left) noexcept nogil:
    """Empties the pipe, which has `left` bytes. False: the receiver is broken, or out of memory."""
    cdef long moved
    while left:
        moved = move(outlet, receiver.fd, left)
        if moved <= 0:
            break
        left -= <uint32_t> moved
    if left == 0:
        return True
    receiver.failed = receiver.failed or errno != EAGAIN
    await_room(r, receiver)
    return keep(r, receiver, left)


cdef bint keep(Reactor r, Connection *receiver, uint32_t left) noexcept nogil:
    """Moves what is in the pipe into the output of the receiver. Returns like deliver."""
    cdef bint kept = not receiver.failed and buffer_reserve(&receiver.output, left) == 0
    cdef ssize_t size
    while left:             # to the last byte: the next one that is read from the pipe must be of another connection
        if kept:
            size = read(outlet, receiver.output.data + receiver.output.end, left)
        else:
            size = read(outlet, r.scratch, min(left, <uint32_t> SCRATCH))
        if size < 0 and errno == EINTR:
            continue
        if size <= 0:
            close_pipe()
            receiver.failed = True
            return False
        if kept:
            receiver.output.end += <uint32_t> size
        left -= <uint32_t> size
    return kept
