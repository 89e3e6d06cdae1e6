# Which rule takes a request: port, then hostname, then path, then method, headers and query, in the spec's order.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.graveyard cimport Grave
from fastroute.ext.group cimport Group
from fastroute.ext.head cimport Head
from fastroute.ext.hosts cimport HostTable
from fastroute.ext.rule cimport Rule
from fastroute.ext.secure cimport Secure
from fastroute.ext.slice cimport Arena, Slice


cdef struct Listener:           # one block of memory with its strings
    Grave grave
    Slice gateway               # "ns/name"
    Slice name
    Slice hostname              # "" takes every host
    uint16_t spec_port          # as in the Gateway
    uint32_t series             # slot of http_requests_total, for answers before a rule was chosen; 0 (other) if not set
    Secure *secure              # of HTTPS, with a reference; NULL: of HTTP
    HostTable groups            # by the routes' own hostnames; -> Group, each with a reference

cdef struct Routes:             # the flat lookup structure of one version
    Grave grave
    uint32_t count              # sockets
    HostTable *sockets          # each by hostname; -> Listener, each with a reference
    uint8_t *secure             # of each socket: whether its clients begin with TLS

cdef struct Decision:
    Rule *rule                  # NULL: nothing takes it. Borrowed: rule_ref it to keep it past the next install
    Listener *listener          # NULL: none takes it. Borrowed, too
    uint16_t reason             # LocalReason when rule is NULL
    uint16_t listener_port      # spec port of the chosen listener (a redirect names it), 0 when none
    uint32_t prefix             # bytes of the path that the matched PathPrefix covers (for ReplacePrefixMatch)
    uint32_t match              # index of the match in the rule

# `socket` is the index that these tables gave the (address, port) the request came in on (Tables.socket_index); one
# that is out of range has no listeners. Costs the same for one rule and for 5,000; allocates nothing but in the arena,
# which it leaves as it was; never fails.
# `asked`: the name that the client's TLS asked for; NULL without TLS. A request belongs to no listener of the other
# kind, and one whose Host belongs to another listener than its TLS does is misdirected (RFC 9110 section 15.5.20).
cdef void find_rule(const Routes *routes, uint32_t socket, const Slice *asked, const Head *head, Arena *arena,
                    Decision *decision) noexcept nogil
# The listener of a host on a socket; NULL: none has it.
cdef Listener *find_listener(const Routes *routes, uint32_t socket, Slice host) noexcept nogil
cdef bint is_secure(const Routes *routes, uint32_t socket) noexcept nogil

# A listener without groups, with one reference; takes over the reference to `secure`, but not when it fails. MemoryError.
cdef Listener *listener_new(Slice gateway, Slice name, Slice hostname, uint16_t spec_port, Secure *secure) except NULL
cdef int listener_put(Listener *listener, Group *group) except -1               # takes a reference
cdef void listener_ref(Listener *listener) noexcept nogil
cdef void listener_unref(Listener *listener) noexcept nogil                     # to the graveyard at zero
# Sockets without listeners, with one reference. MemoryError.
cdef Routes *routes_new(uint32_t count) except NULL
# Takes a reference; not when the socket has a listener of this hostname already.
cdef int routes_put(Routes *routes, uint32_t socket, Listener *listener) except -1
cdef void routes_unref(Routes *routes) noexcept nogil
