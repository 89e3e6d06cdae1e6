# One request and its response, from the head of the request to the last byte of the response.
#
# An Exchange belongs to exactly one client connection (Connection.exchange), and only that connection frees it. It
# refers to its upstream connection by handle. Everything that is needed after the request head has been processed is
# copied here.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.content cimport Content
from fastroute.ext.message.grpcweb cimport WebFrames, WebText
from fastroute.ext.message.message cimport VERSION_TCP, VERSION_TLS, Message
from fastroute.ext.reactor.trace cimport Trace
from fastroute.ext.routing.cors cimport Cors
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.tables cimport Endpoint, Rule, Target


cdef enum Stage:
    STAGE_CONNECTING = 0        # no upstream connection yet; request and first body bytes are held
    STAGE_PAUSING               # a try failed, no upstream connection; the next try begins at `resume`
    STAGE_WAITING               # the request is being sent; no final response head yet
    STAGE_RELAYING              # the response head was sent; its body is being relayed
    STAGE_FLUSHING              # no more of the response will arrive; the client has not received all of it
    STAGE_TUNNEL                # the upstream switched protocols: bytes are relayed both ways
    STAGE_DISCARDING            # answered; the rest of the request body is read and discarded

cdef enum Coding:               # how the client gets a body of unknown length
    CODING_NONE = 0             # there is none, or the protocol frames all bodies
    CODING_CHUNKS               # in the chunks of HTTP/1.1
    CODING_CLOSE                # as content only, which the close ends: the client supports only HTTP/1.0

cdef enum Verdict:              # what happens to the client connection
    VERDICT_ON = 0              # the exchange continues
    VERDICT_ANSWERED            # the same, but only until the client has the answer: nothing more is relayed
    VERDICT_DONE                # the exchange is over; the connection can have another request
    VERDICT_LINGER              # the exchange is over; half-close, discard further input, close
    VERDICT_CLOSE               # the exchange is over; close
    VERDICT_RESET               # the same, with a reset: a partial response must not look complete

cdef enum LogText:              # texts of a request that its log line needs
    TEXT_METHOD = 0
    TEXT_HOST                   # or the server name of TLS that is passed on
    TEXT_PATH
    TEXT_CLIENT
    TEXT_REQUEST_ID
    TEXT_USER_AGENT
    TEXT_REFERER
    TEXT_TRACE_ID
    LOG_TEXTS

cdef enum:
    TRIES_MOST = 3              # maximum number of endpoints tried for a connection without a pause
    TRIED_MOST = 6              # endpoints remembered, so that a retry uses another one
    # An exchange has this room for what it keeps. That of a stream is lean: a connection can have a thousand that wait.
    BLOCK_ROOM = 2048           # maximum bytes of a request kept without an allocation
    TEXT_ROOM = 512             # maximum bytes of log text kept without an allocation

cdef struct Exchange:
    Exchange *next              # free list
    uint64_t upstream           # handle of the upstream connection; 0: none
    uint8_t stage               # Stage
    uint8_t method              # MethodName
    uint8_t version             # Version of the client: with VERSION_TCP and VERSION_TLS its bytes are passed on unread
    uint8_t keep_alive          # the client wants to keep its connection open
    uint8_t expects             # the client sent Expect: 100-continue
    uint8_t close               # the client connection closes after the response
    uint8_t repeatable          # idempotent and without a body: may be sent twice
    uint8_t reused              # this try uses a connection from the pool
    uint8_t retried             # a new connection was already tried after a reused one was closed
    uint8_t heard               # the upstream sent at least one byte in this try
    uint8_t local               # the response is a local response
    uint8_t answered            # the head of a final response was sent to the client
    uint8_t probed              # a probe of whether the client is still there was sent or is scheduled
    uint8_t recorded            # counted and logged
    uint8_t upgrades            # the request asks for another protocol, and is forwarded as an upgrade
    uint8_t client_over         # in a tunnel: the client sends nothing more
    uint8_t upstream_over       # in a tunnel: the upstream sends nothing more
    uint8_t client_pours        # in a tunnel: the client, or the upstream, sends much at once: it is spliced
    uint8_t upstream_pours
    uint8_t upload_over         # the upstream accepts no more of the request
    uint8_t upstream_keeps      # the upstream keeps its connection open
    uint8_t coding              # Coding
    uint8_t tries               # endpoints in `tried`
    uint8_t asked               # number of these since the last pause
    uint8_t keeps               # `held` keeps the part of the body that was sent: the request can be sent again
    uint8_t plain               # pieces of the request body are content, because a receiver takes no chunks
    uint8_t held_chunked        # `held` is in chunks
    uint8_t grpc                # the request is a call of gRPC, or of gRPC-Web
    uint8_t grpc_begun          # its answer from the backend is one of gRPC, whose trailers end it
    uint8_t asks                # CallKind of the request (message/grpc.pxd)
    uint8_t web                 # CallKind of the answers to it, if it is one of gRPC-Web; otherwise CALL_NONE
    uint8_t translated          # it is translated into one of gRPC, and its answer back
    WebText text_left           # of its text
    WebFrames frames            # of its answer
    uint8_t spoken              # Protocol of the connection of the last try, plus 1; 0: there was none
    uint8_t lean                # it has no `block_inline` and no `text_inline`
    uint8_t unprocessed         # the backend has not processed the request: any endpoint may be tried
    uint16_t grpc_outcome       # the status of gRPC with which it was answered, plus 1; 0: none
    uint8_t failure             # Failure of the previous try, while pausing
    uint64_t *mirrors           # handles, until the request body is complete (mirror.pxd); NULL: none
    uint32_t mirrors_count
    uint32_t interim_heads      # 1xx heads that the upstreams sent
    uint32_t interim_bytes      # their bytes
    uint32_t retries            # number of tries after a pause (rule.retry)
    uint64_t resume             # milliseconds: when the pause ends
    uint8_t answer_next         # only the request was relayed in the last step: in the next one only the answer is
    uint8_t in_flight           # included in `in_flight` of the last endpoint in `tried`
    Content request_body        # what has arrived of it
    Content response_body
    Rule *rule                  # holds a reference; NULL: no rule matched
    Listener *listener          # holds a reference; set only if the listener matched but no rule did
    Target *target              # in `rule`; NULL: none was chosen
    Endpoint *tried[TRIED_MOST]  # holds references, oldest first; the last one is in use
    Message request             # as sent upstream, in `block`
    char *block
    uint32_t kept               # bytes of `block`, `text`, `trace` and `origin` that are allocations
    Buffer held                 # body bytes that are not sent yet, or kept to be sent again
    Message *trailers           # that follow `held`, in a block; owned; NULL: none
    uint16_t status             # of the response; 0 if there is none yet
    uint16_t reason             # LocalReason
    uint16_t unconnected        # LocalReason for which the last endpoint could not be connected
    uint16_t asked_in_all       # number of tries; `tries` and `asked` count less
    const char *cause           # more specific than `reason`, for the log; static, or NULL
    const char *option          # the option whose limit the response of the backend exceeded; static, or NULL
    Endpoint *held_endpoint     # for the next try, usually from the session token; no reference: NULL once that begins
    uint64_t session_endpoint   # the endpoint in the token, if the token was used
    uint32_t session_backend
    const Cors *cors            # of the CORS filter of rule or target that was applied; NULL: none
    char *origin                # the Origin of the request, `origin_size` bytes, if `cors` allows it; owned
    uint32_t origin_size
    uint64_t started            # microseconds, engine time
    uint64_t upstream_started   # when the first try began; 0: none
    uint64_t upstream_ended     # 0 while the upstream part continues
    uint64_t received           # bytes from the client
    uint64_t sent               # bytes for the client
    uint64_t deadline           # milliseconds: the request timeout of the rule; 0: none
    uint64_t try_deadline       # milliseconds: the backendRequest timeout of the rule, for this try; 0: none
    uint64_t probe              # milliseconds: when to probe a client that half-closed; 0: never
    uint64_t progress           # milliseconds: when the client last sent or took a byte, or the backend took one
    uint64_t looked             # milliseconds: when these two were read; not valid if that was before `progress`
    uint32_t untaken            # bytes that the kernel held for the peer
    uint32_t acknowledged       # bytes that it had acknowledged on the connection of the stream, modulo 2 ** 32
    uint64_t patience           # milliseconds for which the peer may acknowledge nothing; 0: not known yet
    uint64_t discarded          # discarded bytes of the request body
    uint8_t mover               # Mover: the side for which the exchange waited, if it has a minimum rate
    uint8_t pace_begun          # a window has begun
    uint64_t pace_due           # milliseconds: when the window ends or begins
    uint64_t pace_moved         # bytes that were moved before it
    int64_t pace_spare          # bytes that were moved in earlier windows beyond the minimum, up to a limit
    uint32_t[LOG_TEXTS] text_ends   # of each LogText in `text`, which begins where the one before it ends
    char *text                  # only with an access log, or a trace
    Trace *trace                # owned; NULL: the request is not sampled
    char block_inline[BLOCK_ROOM]
    char text_inline[TEXT_ROOM]

cdef inline bint continues(int verdict) noexcept nogil:
    """Whether the exchange continues after this Verdict."""
    return verdict <= VERDICT_ANSWERED

cdef inline bint is_raw(const Exchange *exchange) noexcept nogil:
    """Whether it is a connection whose bytes are passed on unread: it has no request and no answer."""
    return exchange.version == VERSION_TCP or exchange.version == VERSION_TLS

cdef inline Slice exchange_text(const Exchange *exchange, int text) noexcept nogil:
    """A LogText; NULL data if there is none, or if it is empty."""
    cdef uint32_t begin = exchange.text_ends[text - 1] if text else 0
    cdef Slice slice
    slice.size = exchange.text_ends[text] - begin
    slice.data = exchange.text + begin
    if slice.size == 0:
        slice.data = NULL
    return slice

cdef struct ExchangeList:       # free exchanges
    Exchange *first             # those that are not lean
    Exchange *first_lean
    uint32_t count
    uint32_t lean_count

cdef inline Slice exchange_origin(const Exchange *exchange) noexcept nogil:
    """The Origin of the request if its CORS filter allows it; otherwise empty."""
    cdef Slice origin
    origin.data = exchange.origin
    origin.size = exchange.origin_size
    return origin

# Keeps a copy of `origin`. False: out of memory.
cdef bint exchange_keep_origin(Exchange *exchange, Slice origin) noexcept nogil
cdef inline uint32_t text_room(const Exchange *exchange) noexcept nogil:
    """Bytes of log text that need no allocation."""
    return 0 if exchange.lean else <uint32_t> TEXT_ROOM

# A new exchange in STAGE_CONNECTING; NULL if out of memory.
cdef Exchange *exchange_take(ExchangeList *spare, bint lean) noexcept nogil
# Drops its references and frees its memory. The caller has detached its upstream connection.
cdef void exchange_give(ExchangeList *spare, Exchange *exchange) noexcept nogil
cdef void exchanges_free(ExchangeList *spare) noexcept nogil
# Counts `size` bytes that were allocated for the exchange; negative if they were freed before its end.
cdef void exchange_note(Exchange *exchange, int64_t size) noexcept nogil
# Keeps the trailers that follow what is held; `trailers` may be NULL. False: out of memory.
cdef bint exchange_keep_trailers(Exchange *exchange, const Message *trailers) noexcept nogil
# Keeps the request in a block of the exchange, once; `size` is its block_size. False: out of memory.
cdef bint exchange_keep_request(Exchange *exchange, const Message *request, uint32_t size) noexcept nogil
