# Limits of what a peer may cause without a use: each costs little, but their number would have no limit.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    # Frames that do nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, CONTINUATION, RST_STREAM, unknown ones, DATA without
    # content) are chores. Each request, and each frame of content that the gateway sends, cancels some of them. RESETS are
    # streams that a client has reset before their answers were complete, and those that are refused or malformed. Beyond these the connection ends.
    CHORES_MOST = 1000
    CHORES_RATE = 100           # that are forgotten each second
    CHORE_BYTES = 64            # of ignored frames that are one chore
    REQUEST_MAKES_UP = 4        # chores
    CONTENT_MAKES_UP = 2        # chores, for each frame of content that is sent
    # Frames of WINDOW_UPDATE that follow content are no chores: clients of Go send two for each 4,096 bytes that they read.
    UPDATE_BYTES = 512          # bytes of sent content that allow one, beside CONTENT_MAKES_UP for each frame
    UPDATES_MOST = 65536        # that are allowed at once: the content may have been sent long before
    RESETS_MOST = 500
    RESETS_RATE = 50

# The connection must end for this Http2Failure; only the first one counts.
cdef void session_fail(Reactor r, Connection *p, int failure) noexcept nogil
# Counts received bytes that no known frame explains (Session.unexplained) as chores: frames that libnghttp2 ignores, which are
# of unknown types or content of streams that have ended. What a backend has sent on streams that were reset here does not
# count (Session.late): otherwise a client that cancels requests would end the answers of others on the same connection.
# Returns like session_spend.
cdef int session_spend_bytes(Reactor r, Connection *p) noexcept nogil
# Counts chores and resets. Returns 0, or an error for libnghttp2 if the connection must end.
cdef int session_spend(Reactor r, Connection *p, uint32_t chores, uint32_t resets) noexcept nogil

cdef inline void forget_some(uint32_t *number, uint64_t some) noexcept nogil:
    number[0] -= <uint32_t> min(<uint64_t> number[0], some)
