# Memory for the datagrams that one system call receives or sends. Nothing stays in it between two visits of a socket.
#
# A slot has room for the longest datagram. Its pages are touched only where datagrams were. Slots begin at different lines
# of the processor's cache: otherwise the beginnings of all slots would use the same lines.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.reactor.inet cimport iovec, mmsghdr, sockaddr_in6


cdef enum:
    BATCH = 32                  # datagrams
    DATAGRAM = 65536            # bytes: more than the longest one (65,507 over IPv4, 65,527 over IPv6)
    STRIDE = DATAGRAM + 128     # bytes from slot to slot
    CONTROL = 64                # bytes of control data of a datagram: an in6_pktinfo, and the size of segments

cdef union Control:
    uint64_t aligned
    char bytes[CONTROL]

cdef struct Batch:
    char *slots                 # BATCH times STRIDE bytes
    mmsghdr received[BATCH]     # from clients: into the slots, with the names and control data below
    mmsghdr heard[BATCH]        # from endpoints: into the slots
    iovec rooms[BATCH]          # the slots
    sockaddr_in6 names[BATCH]   # of the clients; large enough for a sockaddr_in
    Control controls[BATCH]
    mmsghdr sent[BATCH]         # what is to be sent, with the names and control data below if it goes to clients
    iovec parts[BATCH]
    sockaddr_in6 sent_names[BATCH]
    Control sent_controls[BATCH]
    uint64_t senders[BATCH]     # handles of the flows of replies
    mmsghdr joined[BATCH]       # `sent` with those together that one message can have
    uint32_t used               # slots with replies that wait in `sent`
    uint32_t place              # index of the place whose socket sends them

cdef Batch *batch_new() noexcept nogil          # NULL if out of memory
cdef void batch_free(Batch *batch) noexcept nogil

cdef inline char *slot_of(const Batch *batch, uint32_t index) noexcept nogil:
    return batch.slots + <uint64_t> index * STRIDE
