# One request and its answer, from the request's head to the last byte of the answer.
#
# An Exchange belongs to exactly one client connection (Connection.exchange), which alone frees it; towards its
# upstream connection it holds a handle. Everything that must outlive the pass over the request's head is copied here.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.body cimport Body
from fastroute.ext.buffer cimport Buffer
from fastroute.ext.cors cimport Cors
from fastroute.ext.router cimport Listener
from fastroute.ext.slice cimport Slice
from fastroute.ext.tables cimport Endpoint, Rule, Target


cdef enum Stage:
    STAGE_CONNECTING = 0        # no upstream connection yet; request and first body bytes are held
    STAGE_PAUSING               # a try failed, no upstream connection; another one begins at `resume`
    STAGE_WAITING               # the request is going out; no final response head yet
    STAGE_RELAYING              # the response's head went on, its body is on its way
    STAGE_FLUSHING              # nothing more comes; the client has not taken all of it
    STAGE_TUNNEL                # the upstream switched protocols: bytes both ways
    STAGE_DISCARDING            # answered; the rest of the request's body is read away

cdef enum Recode:               # how the response's body must be changed on its way
    RECODE_NONE = 0
    RECODE_CHUNK                # came without framing; the client gets chunks
    RECODE_DECODE               # came in chunks; the client knows only HTTP/1.0

cdef enum Verdict:              # what becomes of the client's connection
    VERDICT_ON = 0              # the exchange goes on
    VERDICT_DONE                # it is over; the connection takes another request
    VERDICT_LINGER              # it is over; half-close, read away what still comes, close
    VERDICT_CLOSE               # it is over; close
    VERDICT_RESET               # the same, but so that the client cannot take what it has for the whole

cdef enum:
    TRIES_MOST = 3              # endpoints that are asked to accept a connection, without a pause between them
    TRIED_MOST = 6              # endpoints remembered, so that a retry goes to another one
    REQUEST_ROOM = 2048         # bytes of a request head kept without an allocation
    TEXT_ROOM = 512             # bytes of log text kept without an allocation

cdef struct Exchange:
    Exchange *next              # free list
    uint64_t upstream           # handle of the upstream connection; 0: none
    uint8_t stage               # Stage
    uint8_t method              # MethodName
    uint8_t minor               # HTTP/1.minor of the client, or MINOR_UNKNOWN
    uint8_t keep_alive          # the client wants to keep its connection
    uint8_t expects             # the client sent Expect: 100-continue
    uint8_t close               # the client's connection closes after the answer
    uint8_t repeatable          # idempotent and without a body: may be sent twice
    uint8_t reused              # this try uses a connection from the pool
    uint8_t retried             # the one fresh try after a reused connection died is used up
    uint8_t heard               # the upstream sent at least one byte in this try
    uint8_t local               # the answer is our own
    uint8_t answered            # the head of a final answer went to the client
    uint8_t probed              # the client was asked whether it is there, or will be
    uint8_t recorded            # counted and logged
    uint8_t upgrades            # the request asks for another protocol, and goes on so
    uint8_t client_over         # in a tunnel: the client will send nothing more
    uint8_t upstream_over       # in a tunnel: the upstream will send nothing more
    uint8_t upload_over         # the upstream takes no more of the request
    uint8_t upstream_keeps      # the upstream will keep its connection
    uint8_t recode              # Recode
    uint8_t tries               # endpoints in `tried`
    uint8_t asked               # of these since the last pause
    uint8_t keeps               # `held` keeps what was sent of the body: the request could be sent again
    uint8_t failure             # Failure of the try before, while pausing
    uint64_t *mirrors           # handles, until the request's body is complete (mirror.pxd); NULL: none
    uint32_t mirrors_count
    uint32_t retries            # tries after a pause (rule.retry)
    uint64_t resume             # milliseconds: when the pause ends
    uint8_t in_flight           # counted in the last tried endpoint's in_flight
    Body request_body
    Body response_body
    Rule *rule                  # counted; NULL: none took it
    Listener *listener          # counted; only where it took the request and no rule did
    Target *target              # in `rule`; NULL: none was chosen
    Endpoint *tried[TRIED_MOST]  # counted, oldest first; the last one is the one in use
    char *request               # the head as sent upstream: kept until the first byte of an answer
    uint32_t request_size
    Buffer held                 # body bytes not sent yet, or kept to be sent again
    uint16_t status             # of the answer; 0 while there is none
    uint16_t reason             # LocalReason
    const char *cause           # a more exact word than the reason's, for the log; static, or NULL
    const char *option          # the option that sets the limit which a backend's answer broke; static, or NULL
    Endpoint *held_endpoint     # for the first try, by the session's token; not counted: NULL once that begins
    uint64_t session_endpoint   # what the token names, if it was taken up
    uint32_t session_backend
    const Cors *cors            # of the CORS filter of rule or target that it met; NULL: none
    char *origin                # the request's, `origin_size` bytes, if `cors` admits it; owned
    uint32_t origin_size
    uint64_t started            # microseconds, engine time
    uint64_t upstream_started   # of the first try; 0: none
    uint64_t upstream_ended     # 0 while it goes on
    uint64_t received           # bytes from the client
    uint64_t sent               # bytes for the client
    uint64_t deadline           # milliseconds: the rule's request timeout; 0: none
    uint64_t try_deadline       # milliseconds: the rule's backendRequest timeout, of this try; 0: none
    uint64_t probe              # milliseconds: when to ask a client that closed its side if it is there; 0: never
    uint64_t progress           # milliseconds: when the client last gave or took a byte
    uint64_t discarded          # bytes of the request's body that were read for nothing
    Slice log_method            # these five only with an access log; in `text`
    Slice log_host
    Slice log_path
    Slice log_client
    Slice log_request_id
    char *text                  # of the five
    char request_inline[REQUEST_ROOM]
    char text_inline[TEXT_ROOM]

cdef struct ExchangeList:
    Exchange *first             # free ones
    uint32_t count

cdef inline Slice exchange_origin(const Exchange *exchange) noexcept nogil:
    """The request's Origin, if its CORS filter admits it; else empty."""
    cdef Slice origin
    origin.data = exchange.origin
    origin.size = exchange.origin_size
    return origin

# Keeps a copy of it. False: no memory.
cdef bint exchange_keep_origin(Exchange *exchange, Slice origin) noexcept nogil
# A fresh exchange in STAGE_CONNECTING; NULL without memory.
cdef Exchange *exchange_take(ExchangeList *spare) noexcept nogil
# Drops what it counted and owns. The caller has detached its upstream connection.
cdef void exchange_give(ExchangeList *spare, Exchange *exchange) noexcept nogil
cdef void exchanges_free(ExchangeList *spare) noexcept nogil
# Memory for a request head of `size` bytes in `exchange.request`; NULL without memory.
cdef char *exchange_request_room(Exchange *exchange, uint32_t size) noexcept nogil
