"""Addresses of datagrams; see address.pxd.

If a place has all addresses of the machine, the kernel would choose the source address of a reply by its routes, which
need not be the one that the client knows. So the address to which a datagram was sent is part of the key, and each
reply names it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastroute.ext.memory.address cimport AF_INET, AF_INET6
from fastroute.ext.reactor.inet cimport (
    CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO,
    cmsghdr, htons, in6_pktinfo, in_pktinfo, sockaddr_in,
)


cdef bint key_read(FlowKey *key, uint32_t place, bint everywhere, msghdr *message) noexcept nogil:
    cdef const sockaddr_in *four = <const sockaddr_in *> message.msg_name
    cdef const sockaddr_in6 *six = <const sockaddr_in6 *> message.msg_name
    memset(key, 0, sizeof(FlowKey))
    key.place = place
    key.family = four.sin_family
    if key.family == AF_INET6:
        key.port = six.sin6_port
        key.scope = six.sin6_scope_id
        memcpy(key.address, &six.sin6_addr, 16)
    else:
        key.port = four.sin_port
        memcpy(key.address, &four.sin_addr, 4)
    if everywhere:
        read_local(key, message)
    return key.port != 0


cdef inline bint has(const msghdr *message, const cmsghdr *part, size_t size) noexcept nogil:
    """Whether the part has so many bytes."""
    return (part.cmsg_len >= CMSG_LEN(size)
            and <const char *> part + CMSG_LEN(size) <= <const char *> message.msg_control + message.msg_controllen)


cdef void read_local(FlowKey *key, msghdr *message) noexcept nogil:
    cdef cmsghdr *part = CMSG_FIRSTHDR(message)
    cdef const in6_pktinfo *six
    while part is not NULL:
        if (key.family == AF_INET and part.cmsg_level == IPPROTO_IP and part.cmsg_type == IP_PKTINFO
                and has(message, part, sizeof(in_pktinfo))):
            memcpy(key.local, &(<const in_pktinfo *> CMSG_DATA(part)).ipi_spec_dst, 4)
        elif (key.family == AF_INET6 and part.cmsg_level == IPPROTO_IPV6 and part.cmsg_type == IPV6_PKTINFO
                and has(message, part, sizeof(in6_pktinfo))):
            six = <const in6_pktinfo *> CMSG_DATA(part)
            if not is_multicast(<const uint8_t *> &six.ipi6_addr):
                memcpy(key.local, &six.ipi6_addr, 16)
                key.interface = six.ipi6_ifindex if is_link_local(key.local) else 0
        part = CMSG_NXTHDR(message, part)


def local_of(bytes control not None, uint16_t family) -> tuple[bytes, int]:
    """For tests: the address to which a datagram with this control data was sent, and its interface if it is link-local.
    `family`: of the socket."""
    cdef FlowKey key
    cdef msghdr message
    memset(&key, 0, sizeof(FlowKey))
    key.family = family
    memset(&message, 0, sizeof(msghdr))
    message.msg_controllen = len(control)
    message.msg_control = malloc(len(control) or 1)     # of exactly this size, for sanitizers
    if message.msg_control is NULL:
        raise MemoryError
    memcpy(message.msg_control, <const char *> control, len(control))
    read_local(&key, &message)
    free(message.msg_control)
    return (<const char *> key.local)[:16], key.interface


cdef inline bint is_link_local(const uint8_t *address) noexcept nogil:
    """fe80::/10 (RFC 4291 section 2.5.6): means something only together with an interface."""
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


cdef inline bint is_multicast(const uint8_t *address) noexcept nogil:
    """No datagram may come from such an address."""
    return address[0] == 0xFF


cdef inline bint is_unknown(const FlowKey *key) noexcept nogil:
    cdef uint64_t words[2]
    memcpy(words, key.local, 16)
    return words[0] == 0 and words[1] == 0


cdef void key_write(const FlowKey *key, msghdr *message, sockaddr_in6 *name, Control *control) noexcept nogil:
    cdef sockaddr_in *four = <sockaddr_in *> name
    memset(name, 0, sizeof(sockaddr_in6))
    message.msg_name = name
    if key.family == AF_INET6:
        name.sin6_family = AF_INET6
        name.sin6_port = key.port
        name.sin6_scope_id = key.scope
        memcpy(&name.sin6_addr, key.address, 16)
        message.msg_namelen = sizeof(sockaddr_in6)
    else:
        four.sin_family = AF_INET
        four.sin_port = key.port
        memcpy(&four.sin_addr, key.address, 4)
        message.msg_namelen = sizeof(sockaddr_in)
    if is_unknown(key):
        message.msg_control = NULL
        message.msg_controllen = 0
    else:
        write_local(key, message, control)


cdef void write_local(const FlowKey *key, msghdr *message, Control *control) noexcept nogil:
    cdef in_pktinfo four
    cdef in6_pktinfo six
    if key.family == AF_INET6:
        memset(&six, 0, sizeof(six))
        memcpy(&six.ipi6_addr, key.local, 16)
        six.ipi6_ifindex = key.interface
        write_part(message, control, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof(six))
    else:
        memset(&four, 0, sizeof(four))
        memcpy(&four.ipi_spec_dst, key.local, 4)
        write_part(message, control, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four))


cdef void write_part(msghdr *message, Control *control, int level, int type, const void *data,
                     size_t size) noexcept nogil:
    cdef cmsghdr *part = <cmsghdr *> control
    memset(control, 0, sizeof(Control))
    part.cmsg_level = level
    part.cmsg_type = type
    part.cmsg_len = CMSG_LEN(size)
    memcpy(CMSG_DATA(part), data, size)
    message.msg_control = control
    message.msg_controllen = CMSG_SPACE(size)


cdef uint32_t endpoint_address(const Endpoint *endpoint, sockaddr_storage *address) noexcept nogil:
    cdef sockaddr_in *four = <sockaddr_in *> address
    cdef sockaddr_in6 *six = <sockaddr_in6 *> address
    memset(address, 0, sizeof(sockaddr_storage))
    if endpoint.family == AF_INET6:
        six.sin6_family = AF_INET6
        six.sin6_port = htons(endpoint.port)
        memcpy(&six.sin6_addr, endpoint.address, 16)
        return sizeof(sockaddr_in6)
    four.sin_family = AF_INET
    four.sin_port = htons(endpoint.port)
    memcpy(&four.sin_addr, endpoint.address, 4)
    return sizeof(sockaddr_in)
