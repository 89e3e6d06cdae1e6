"""Memory for datagrams; see batch.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc


cdef Batch *batch_new() noexcept nogil:
    cdef Batch *batch = <Batch *> calloc(1, sizeof(Batch))
    cdef uint32_t i
    if batch is NULL:
        return NULL
    batch.slots = <char *> malloc(<size_t> BATCH * STRIDE)
    if batch.slots is NULL:
        free(batch)
        return NULL
    for i in range(BATCH):
        batch.rooms[i].iov_base = slot_of(batch, i)
        batch.rooms[i].iov_len = DATAGRAM
        batch.heard[i].msg_hdr.msg_iov = batch.received[i].msg_hdr.msg_iov = &batch.rooms[i]
        batch.heard[i].msg_hdr.msg_iovlen = batch.received[i].msg_hdr.msg_iovlen = 1
        batch.received[i].msg_hdr.msg_name = &batch.names[i]
        batch.sent[i].msg_hdr.msg_iov = &batch.parts[i]
        batch.sent[i].msg_hdr.msg_iovlen = 1
    return batch


cdef void batch_free(Batch *batch) noexcept nogil:
    if batch is not NULL:
        free(batch.slots)
        free(batch)
