"""The slab and the table of flows; see flow.pxd."""

from libc.stdint cimport UINT32_MAX, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from fastroute.ext.memory.address cimport AF_INET, AF_INET6
from fastroute.ext.memory.bytemap cimport bytes_hash, process_seed
from fastroute.ext.reactor.batch cimport batch_free
from fastroute.ext.reactor.clients cimport (
    ENTRY_COUNTED, clients_count, clients_enter, clients_free, clients_leave, clients_reserve,
)

cdef uint8_t[12] MAPPED         # how an IPv6 address begins that stands for an IPv4 address (RFC 4291 section 2.5.5.2)
MAPPED[:] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]


cdef int flows_start(Flows *flows) noexcept nogil:
    cdef uint32_t size = 64
    if flows.buckets is not NULL:
        return 0
    while size < flows.most:
        size *= 2
    flows.seed = flows.clients.seed = process_seed()
    if not clients_reserve(&flows.clients, flows.most):
        return -1
    flows.buckets = <uint32_t *> calloc(size, sizeof(uint32_t))
    flows.mask = size - 1
    return -1 if flows.buckets is NULL else 0


cdef void flows_free(Flows *flows) noexcept nogil:
    cdef uint32_t i
    for i in range(flows.chunks_count):
        free(flows.chunks[i])
    free(flows.chunks)
    free(flows.buckets)
    for i in range(flows.places_count):
        if flows.places[i] is not NULL:
            free(flows.places[i].sockets)
            free(flows.places[i])
    free(flows.places)
    batch_free(flows.batch)
    clients_free(&flows.clients)
    memset(flows, 0, sizeof(Flows))


cdef uint32_t *bucket_of(const Flows *flows, const FlowKey *key) noexcept nogil:
    return &flows.buckets[<uint32_t> bytes_hash(<const char *> key, sizeof(FlowKey), flows.seed) & flows.mask]


cdef Flow *flow_find(const Flows *flows, const FlowKey *key) noexcept nogil:
    cdef uint32_t index = bucket_of(flows, key)[0]
    cdef Flow *flow
    while index != 0:
        flow = flow_at(flows, index)
        if memcmp(&flow.key, key, sizeof(FlowKey)) == 0:
            return flow
        index = flow.chain
    return NULL


cdef int grow(Flows *flows) noexcept nogil:
    """Adds one chunk of free slots. Slot 0 is never used. Returns 0, or -1 if out of memory."""
    cdef Flow **chunks = <Flow **> realloc(flows.chunks, (flows.chunks_count + 1) * sizeof(Flow *))
    cdef Flow *chunk
    cdef uint32_t i, index
    if chunks is NULL:
        return -1
    flows.chunks = chunks
    chunk = <Flow *> calloc(FLOWS_CHUNK, sizeof(Flow))
    if chunk is NULL:
        return -1
    chunks[flows.chunks_count] = chunk
    for i in range(FLOWS_CHUNK, 0, -1):
        index = flows.chunks_count * FLOWS_CHUNK + i - 1
        chunk[i - 1].index = index
        if index != 0:
            chunk[i - 1].chain = flows.free
            flows.free = index
    flows.chunks_count += 1
    return 0


cdef const uint8_t *client_of(const FlowKey *key, uint16_t *family) noexcept nogil:
    """The address of the client, and its family: of a socket with both, clients of IPv4 have addresses of their own."""
    if key.family == AF_INET6 and memcmp(key.address, MAPPED, sizeof(MAPPED)) == 0:
        family[0] = AF_INET
        return &key.address[sizeof(MAPPED)]
    family[0] = key.family
    return key.address


cdef uint32_t flow_crowd(const Flows *flows, const Flow *flow) noexcept nogil:
    cdef uint16_t family
    cdef const uint8_t *address = client_of(&flow.key, &family)
    return clients_count(&flows.clients, family, address)


cdef Flow *flow_take(Flows *flows, const FlowKey *key) noexcept nogil:
    cdef uint32_t *bucket = bucket_of(flows, key)
    cdef uint32_t index, generation
    cdef Flow *flow
    cdef uint16_t family
    cdef const uint8_t *address = client_of(key, &family)
    if flows.free == 0 and grow(flows) < 0:
        return NULL
    if clients_enter(&flows.clients, family, address, UINT32_MAX) != ENTRY_COUNTED:
        return NULL
    index = flows.free
    flow = flow_at(flows, index)
    flows.free = flow.chain
    generation = flow.generation + 1
    memset(flow, 0, sizeof(Flow))
    flow.key = key[0]
    flow.index = index
    flow.generation = generation
    flow.fd = -1
    flow.burst = 1
    flow.chain = bucket[0]
    bucket[0] = index
    flows_append(flows, &flows.used, flow, age_of)
    flows.count += 1
    return flow


cdef void flow_give(Flows *flows, Flow *flow) noexcept nogil:
    cdef uint32_t *link = bucket_of(flows, &flow.key)
    cdef uint16_t family
    cdef const uint8_t *address = client_of(&flow.key, &family)
    clients_leave(&flows.clients, family, address)
    while link[0] != flow.index:
        link = &flow_at(flows, link[0]).chain
    link[0] = flow.chain
    flows_remove(flows, &flows.used, flow, age_of)
    flow.generation += 1
    flow.chain = flows.free
    flows.free = flow.index
    flows.count -= 1
