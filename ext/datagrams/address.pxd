# Addresses of datagrams: from what the kernel reports to the key of a flow, and back.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.batch cimport Control
from fastroute.ext.reactor.flow cimport FlowKey
from fastroute.ext.reactor.inet cimport msghdr, sockaddr_in6, sockaddr_storage
from fastroute.ext.routing.tables cimport Endpoint


# The key of a datagram that was received at the place with this index. With `everywhere`, its control data says to which
# address it was sent. False: it cannot be answered (port 0).
cdef bint key_read(FlowKey *key, uint32_t place, bint everywhere, msghdr *message) noexcept nogil
# Lets `message` go to the client of `key`, from the address to which the client sends.
cdef void key_write(const FlowKey *key, msghdr *message, sockaddr_in6 *name, Control *control) noexcept nogil
# Fills in the address of an endpoint; returns its size.
cdef uint32_t endpoint_address(const Endpoint *endpoint, sockaddr_storage *address) noexcept nogil
