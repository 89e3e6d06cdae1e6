"""The control data is in memory of exactly its size. What was read is written as for a reply, and what was written is read
again: it must say the same.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.datagrams.address cimport key_read, key_write
from fastroute.ext.memory.address cimport AF_INET, AF_INET6
from fastroute.ext.reactor.batch cimport Control
from fastroute.ext.reactor.flow cimport FlowKey
from fastroute.ext.reactor.inet cimport msghdr, sockaddr_in, sockaddr_in6

cdef enum:
    HEADER = 23


cdef void name_sender(sockaddr_in6 *name, const uint8_t *data) noexcept nogil:
    cdef sockaddr_in *four = <sockaddr_in *> name
    memset(name, 0, sizeof(sockaddr_in6))
    name.sin6_family = AF_INET6 if data[0] & 1 else AF_INET
    memcpy(&name.sin6_port, data + 1, 2)            # the same place in both structures
    if data[0] & 1:
        memcpy(&name.sin6_scope_id, data + 3, 4)
        memcpy(&name.sin6_addr, data + 7, 16)
    else:
        memcpy(&four.sin_addr, data + 7, 4)


cdef const char *check_reply(const FlowKey *key) noexcept nogil:
    cdef FlowKey again
    cdef msghdr message
    cdef sockaddr_in6 name
    cdef Control control
    memset(&message, 0, sizeof(msghdr))
    key_write(key, &message, &name, &control)
    if not key_read(&again, key.place, True, &message):
        return b"a sender that has a port gets a reply without one"
    if memcmp(key, &again, sizeof(FlowKey)) != 0:
        return b"a reply has other addresses than the datagram"
    return NULL


cdef const char *fuzz_control(const uint8_t *data, size_t size) noexcept nogil:
    cdef FlowKey key
    cdef msghdr message
    cdef sockaddr_in6 name
    cdef const char *broken = NULL
    if size < HEADER:
        return NULL
    name_sender(&name, data)
    memset(&message, 0, sizeof(msghdr))
    message.msg_name = &name
    message.msg_namelen = sizeof(sockaddr_in6) if data[0] & 1 else sizeof(sockaddr_in)
    message.msg_controllen = size - HEADER
    message.msg_control = malloc(size - HEADER)
    memcpy(message.msg_control, data + HEADER, size - HEADER)
    if key_read(&key, 1, True, &message):
        broken = check_reply(&key)
    free(message.msg_control)
    return broken
