# Finds the rule for a request: port, then hostname, path, method, headers and query, in the order of the specification.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.graveyard cimport Grave
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message
from fastroute.ext.routing.group cimport Group
from fastroute.ext.routing.hosts cimport HostTable
from fastroute.ext.routing.rule cimport Rule
from fastroute.ext.routing.sampling cimport Sampling
from fastroute.ext.tls.secure cimport Secure


cdef enum ListenerMode:         # what a listener does with what arrives (snapshot.Mode)
    MODE_HTTP = 0               # takes requests; with a Secure: over TLS, which ends here
    MODE_RAW                    # passes the bytes of connections on; with a Secure: those in TLS, which ends here
    MODE_PASSTHROUGH            # passes TLS on, by its server name
    MODE_DATAGRAMS              # UDP

cdef struct Listener:           # one block of memory with its strings
    Grave grave
    Slice gateway               # "ns/name"
    Slice name
    Slice hostname              # "" accepts every host
    uint16_t spec_port          # as in the Gateway
    uint32_t series             # slot of http_requests_total, for answers before a rule was chosen; 0: `other`
    uint8_t mode                # ListenerMode
    bint groups_left            # while it is freed: `groups` is not empty yet
    Secure *secure              # TLS ends here: with a reference; otherwise NULL
    Sampling *sampling          # a policy says how requests are traced: with a reference; otherwise NULL
    HostTable groups            # by hostname of the routes; -> Group
    HostTable calls             # the same, of the rules that take only calls of gRPC

cdef struct Site:               # the listeners of one place
    HostTable listeners         # by hostname -> Listener
    uint32_t listeners_count
    uint32_t tls_count          # how many take TLS: if any, connections begin with a ClientHello
    uint32_t named_count        # how many of these pass bytes on, by the server name of the ClientHello
    uint32_t raw_count          # how many take the bytes of connections without TLS: connections begin with a tunnel

cdef struct Routes:             # the lookup structure of one version
    Grave grave
    uint32_t count
    Site *sites                 # by index of the place (Tables.socket_index)

cdef struct Decision:
    Rule *rule                  # NULL if no rule accepts the request. Borrowed: valid until the next install
    Listener *listener          # NULL if no listener accepts it. Also borrowed
    uint16_t reason             # LocalReason if rule is NULL
    uint16_t listener_port      # spec port of the chosen listener (for redirects); 0 if there is none
    uint32_t prefix             # bytes of the path that the matched PathPrefix covers (for ReplacePrefixMatch)
    uint32_t match              # index of the match in the rule

# `socket` is the index that these tables have for the place at which the request arrived
# (Tables.socket_index); an index out of range has no listeners. Its cost does not depend on the number of rules, but on
# those that have the same hostname and path (node.pxd). It allocates only in the arena, which it leaves unchanged. If
# the arena has no room for the names of the request (facts_room), the reason is REASON_OVERLOADED.
# `asked`: the server name of the client's TLS (SNI); NULL without TLS. HTTPS listeners accept only requests over TLS,
# HTTP listeners only requests without. If Host and server name belong to different listeners, the request is
# misdirected (RFC 9110 section 15.5.20).
cdef void find_rule(const Routes *routes, uint32_t socket, const Slice *asked, const Message *message, Arena *arena,
                    Decision *decision) noexcept nogil
# The listener for a host on a socket; NULL if there is none.
cdef Listener *find_listener(const Routes *routes, uint32_t socket, Slice host) noexcept nogil
# Whether connections of a socket begin with TLS; whether some of these belong to routes that take TLS by its server name;
# whether connections are passed on without TLS.
cdef bint is_secure(const Routes *routes, uint32_t socket) noexcept nogil
cdef bint is_named(const Routes *routes, uint32_t socket) noexcept nogil
cdef bint passes_bytes(const Routes *routes, uint32_t socket) noexcept nogil
# The rule of a listener whose mode is not MODE_HTTP: that of the most specific hostname that matches the server name. An
# empty name matches only the rule for any name. NULL if there is none.
cdef Rule *find_route(const Listener *listener, Slice name) noexcept nogil

# A listener without groups, with one reference. Takes over the reference to `secure`, unless it raises MemoryError.
cdef Listener *listener_new(Slice gateway, Slice name, Slice hostname, uint16_t spec_port, Secure *secure,
                           uint8_t mode) except NULL
# The groups of the rules that take only calls of gRPC, or of those that take all requests.
cdef inline HostTable *groups_of(Listener *listener, bint calls) noexcept nogil:
    return &listener.calls if calls else &listener.groups
cdef void listener_ref(Listener *listener) noexcept nogil
cdef void listener_unref(Listener *listener) noexcept nogil                     # added to the graveyard at zero
# `count` places without listeners, with one reference. Raises MemoryError.
cdef Routes *routes_new(uint32_t count) except NULL
cdef int routes_share(Routes *routes, uint32_t index, const Routes *other) except -1    # copies a place. MemoryError
# Takes a reference. False: the place already has another listener with this hostname. MemoryError.
cdef int routes_put(Routes *routes, uint32_t index, Listener *listener) except -1
cdef int routes_remove(Routes *routes, uint32_t index, Listener *listener) except -1    # if it is there. MemoryError
cdef void routes_unref(Routes *routes) noexcept nogil
