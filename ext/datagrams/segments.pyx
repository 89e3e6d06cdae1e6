"""Several datagrams with one system call; see segments.pxd."""

from libc.errno cimport EINVAL, EIO, EMSGSIZE, ENOPROTOOPT, EOPNOTSUPP
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy, memset

from fastroute.ext.reactor.inet cimport CMSG_DATA, CMSG_LEN, CMSG_SPACE, SOL_UDP, UDP_SEGMENT, cmsghdr

cdef enum:
    MOST = 64000                # bytes together: less than the longest datagram


cdef uint32_t segments_fit(const Batch *batch, uint32_t first, uint32_t most) noexcept nogil:
    cdef size_t size = batch.parts[first].iov_len
    cdef size_t total = size
    cdef uint32_t count = 1
    while count < most and size:
        total += batch.parts[first + count].iov_len
        if total > MOST or batch.parts[first + count].iov_len > size or batch.parts[first + count].iov_len == 0:
            break
        count += 1
        if batch.parts[first + count - 1].iov_len < size:
            break
    return count


cdef void segments_join(Batch *batch, msghdr *message, uint32_t first, uint32_t count) noexcept nogil:
    cdef uint16_t size = <uint16_t> batch.parts[first].iov_len
    cdef cmsghdr *part = <cmsghdr *> (<char *> message.msg_control + message.msg_controllen)
    memset(part, 0, CMSG_SPACE(sizeof(size)))
    part.cmsg_level = SOL_UDP
    part.cmsg_type = UDP_SEGMENT
    part.cmsg_len = CMSG_LEN(sizeof(size))
    memcpy(CMSG_DATA(part), &size, sizeof(size))
    message.msg_controllen += CMSG_SPACE(sizeof(size))
    message.msg_iov = &batch.parts[first]
    message.msg_iovlen = count


cdef bint is_indivisible(int error) noexcept nogil:
    return error == EINVAL or error == EIO or error == EMSGSIZE or error == EOPNOTSUPP or error == ENOPROTOOPT
