# Local ports of connections to backends, when few of them are free.
#
# For each connection, the kernel looks for a local port that no other connection to the same address and port has. A
# closed connection keeps its port for 60 s (TIME_WAIT) if the gateway closed first, as for a client that closes first. Of
# the usual 28,232 ports the kernel looks at one half before the other. So with more than 235 connections per second to one
# endpoint it examines 14,116 ports for each further one, which takes 2 ms. If none is free, it takes twice as long.
#
# Therefore, when a search took long, the following sockets get a random part of the ports only (IP_LOCAL_PORT_RANGE, Linux
# 6.3). A part usually has a free port until few are left, and examining it takes a few microseconds. If no part has one, all
# ports are examined, but at most once per PAUSE. With 1 in 100 ports free, 8 in 100 connections find none in four parts.
# Without the option, the kernel examines all ports each time.

from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.routing.endpoint cimport Endpoint


# connect(2) to the endpoint: 0, or -1 with errno. EADDRNOTAVAIL: no local port was found, or this machine has no address
# of the endpoint's family.
cdef int connect_to_endpoint(Reactor r, int fd, const Endpoint *endpoint) noexcept nogil
# A search for a local port has taken long.
cdef void note_scarce_ports(Reactor r) noexcept nogil
# Whether a search for a local port took long in the last minute.
cdef bint ports_are_scarce(Reactor r) noexcept nogil
