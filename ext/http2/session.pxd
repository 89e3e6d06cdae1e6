# What HTTP/2 keeps of a connection (RFC 9113), beside its Parent (reactor/parent).
#
# libnghttp2 parses frames, compresses fields, and follows the states and windows of streams. It gets bytes and gives
# bytes. The modules of this folder pass content and fields between it and the streams of the parent.
#
#   parent      the protocol of a parent
#   memory      what libnghttp2 allocates
#   incoming    what arrives: fields, content, other frames
#   outgoing    what is sent
#   chores      limits of what a peer may cause
#   fieldblock  fields as bytes; request and response: Messages from and to such a block
#
# No window opens by itself: the peer may send more content when the other side of an exchange has taken some. A stream puts
# content into its parent's batch only as the windows of the peer allow, so libnghttp2 never holds content.
#
# Towards a backend the gateway is the client of the session: Session.asks.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from fastroute.ext.http2.fieldblock cimport FieldList
from fastroute.ext.http2.nghttp2 cimport (
    nghttp2_session, nghttp2_session_get_stream_user_data, nghttp2_session_set_stream_user_data,
)
from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.reactor.connection cimport Connection


cdef enum:
    STREAMS_MOST = 128          # streams of a connection to a backend at the same time
    ACCEPTED_MOST = 1000        # the same of a client, if --max-streams is not lower
    STREAM_WINDOW = 262144      # bytes of content of a stream that a client may send before some are taken
    CONNECTION_WINDOW = 1048576     # the same of all streams of a connection
    # The streams of a connection to a backend belong to different clients, and one that reads slowly must not delay others.
    # So the windows of all streams fit into that of the connection.
    ANSWER_WINDOW = 131072
    ANSWERS_WINDOW = STREAMS_MOST * ANSWER_WINDOW
    SESSION_MEMORY = 28672      # bytes that libnghttp2 allocates for an idle connection (1.52: 25,671 by mallinfo2), and some for
                                # the tables of HPACK
    PREFACE_SIZE = 24
    RESETS_KEPT = 32
    FRAME_HEAD = 9              # bytes before the payload of a frame

cdef enum Offer:                # what follows the content that a stream offers
    OFFER_MORE = 0              # nothing, or more content later
    OFFER_LAST                  # the end of the stream
    OFFER_TRAILED               # trailers

cdef struct Session:            # of one parent
    nghttp2_session *wire
    uint8_t asks                # the peer is a backend
    Buffer block                # the fields of the block that is being received
    uint32_t block_fields
    uint32_t block_size         # bytes of it, decoded, also of fields that were not kept
    uint8_t has_cookie          # the block has one
    uint16_t refusal            # why the block is refused; 0: it is not
    uint32_t chores
    uint32_t updates            # WINDOW_UPDATE frames that are no chores
    uint32_t resets
    uint64_t eased              # milliseconds: when some of them were last forgotten
    int64_t unexplained         # bytes that have arrived without a known frame
    int64_t late                # bytes of streams that were reset here which a backend may have sent before it knew that
    uint8_t fruitful            # the frame that is being received has content
    uint8_t failed              # `failure` is set, and counted
    int failure                 # Http2Failure: why the connection ends
    uint8_t preface             # the preface of the peer has arrived completely
    uint8_t resized             # SETTINGS of the peer may have changed the windows of all streams
    FieldList answer            # a head that is sent next (session_head)
    uint8_t unusable            # libnghttp2 has failed while it made frames: it may refer to fields that are gone
    uint8_t broken              # a GOAWAY with an error was sent: the connection ends
    uint64_t found              # the handle of the stream that was found last; 0: none
    uint32_t found_id           # its number
    uint32_t unsent             # the stream whose fields were submitted: libnghttp2 has not read them yet; 0: none
    uint32_t untaught           # requests to be sent before one teaches the name of X-Request-Id
    uint8_t teaches             # the one with the number `unsent` does
    uint32_t open               # the stream whose block is being received; 0: none
    const char *offered         # content that the stream with the number `offering` sends now
    uint32_t offered_size
    uint32_t offering
    uint8_t offer               # Offer
    uint32_t[RESETS_KEPT] resets_sent   # the streams that were reset here last: their frames may still be on the way
    uint32_t resets_count       # all of them
    uint32_t resets_lost        # the highest number that was removed from it; lower ones count as reset, too

cdef extern from *:
    """
    #define fastroute_preface "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
    """
    const char *PREFACE "fastroute_preface"     # what clients send first (RFC 9113 section 3.4)

cdef inline Session *session_of(const Connection *p) noexcept nogil:
    return <Session *> p.parent.state

cdef inline uint64_t session_handle(Session *session, int32_t id) noexcept nogil:
    """The handle of the stream that libnghttp2 knows by this number; 0: it knows none, or the stream has ended here.
    Several calls for the same stream follow one another, so the last one that was found is kept."""
    cdef uint64_t handle
    if session.found != 0 and session.found_id == <uint32_t> id:
        return session.found
    handle = <uint64_t> <uintptr_t> nghttp2_session_get_stream_user_data(session.wire, id)
    session.found_id = <uint32_t> id
    session.found = handle
    return handle

cdef inline void session_note(Session *session, int32_t id, uint64_t handle) noexcept nogil:
    """Gives the stream a handle; 0: none."""
    nghttp2_session_set_stream_user_data(session.wire, id, <void *> <uintptr_t> handle)
    session.found_id = <uint32_t> id
    session.found = handle
