# Pools of idle connections; see pools.pxd.

from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastroute.ext.memory.bytemap cimport hash_secret, process_seed
from fastroute.ext.routing.endpoint cimport endpoint_ref, endpoint_unref
from fastroute.ext.routing.poolkey cimport key_ref, key_unref

cdef enum:
    BITS = 16                   # of the index in the hash table. 512 KiB, of which untouched pages cost nothing
    SIZE = 1 << BITS


cdef inline Endpoint *_endpoint_of(IdlePool *pool) noexcept nogil:
    return (<OtherPool *> pool).endpoint if pool.other else <Endpoint *> pool


cdef inline uint32_t _bucket(const Endpoint *endpoint, const PoolKey *key) noexcept nogil:
    """Depends on a secret of the process, so that nobody can cause collisions."""
    cdef uint64_t both = <uint64_t> <uintptr_t> endpoint ^ (<uint64_t> <uintptr_t> key << 20)
    return <uint32_t> (both * hash_secret(process_seed()) >> (64 - BITS))


cdef class Pools:
    def __dealloc__(self):
        cdef IdlePool *pool
        cdef uint32_t i
        while self.unused != NULL:        # only those in an Endpoint have a reference for this list
            pool = self.unused
            self.unused = pool.next_unused
            if not pool.other:
                endpoint_unref(<Endpoint *> pool)
        if self.others != NULL:
            for i in range(<uint32_t> SIZE):
                while self.others[i] != NULL:
                    self.drop(&self.others[i].pool)
            free(self.others)

    cdef int enter(self, Endpoint *endpoint, PoolKey *key) except -1:
        cdef IdlePool *pool = pool_of(self, endpoint, key)
        if pool == NULL:
            pool = &endpoint.pool if endpoint.pool.key == NULL else _put_other(self, endpoint, key)
            pool.key = key
            key_ref(key)
        pool.listed += 1
        endpoint.listed += 1
        return 0

    cdef void leave(self, Endpoint *endpoint, PoolKey *key) noexcept nogil:
        cdef IdlePool *pool = pool_of(self, endpoint, key)
        pool.listed -= 1
        endpoint.listed -= 1
        if pool.listed or pool.unused:
            return
        if pool.count == 0:
            self.drop(pool)
            return
        pool.unused = True
        pool.next_unused = self.unused
        self.unused = pool
        if not pool.other:
            endpoint_ref(endpoint)

    cdef IdlePool *first_unused(self) noexcept nogil:
        cdef Endpoint *endpoint
        cdef IdlePool *pool
        while self.unused != NULL:
            pool = self.unused
            if pool.listed == 0 and pool.count:
                return pool
            self.unused = pool.next_unused
            pool.next_unused = NULL
            pool.unused = False
            endpoint = NULL if pool.other else <Endpoint *> pool
            if pool.listed == 0:
                self.drop(pool)
            if endpoint != NULL:
                endpoint_unref(endpoint)
        return NULL

    cdef IdlePool *other(self, Endpoint *endpoint, const PoolKey *key) noexcept nogil:
        cdef OtherPool *found
        if self.others == NULL:
            return NULL
        found = self.others[_bucket(endpoint, key)]
        while found != NULL and (found.endpoint != endpoint or found.pool.key != key):
            found = found.next
        if found == NULL:
            return NULL
        if endpoint.pool.key == NULL and not found.pool.unused:
            endpoint.pool = found.pool
            endpoint.pool.other = False
            key_ref(endpoint.pool.key)
            self.drop(&found.pool)
            return &endpoint.pool
        return &found.pool

    cdef void drop(self, IdlePool *pool) noexcept nogil:
        """Removes a pool that is not in the list `unused`; does not look at its connections."""
        cdef Endpoint *endpoint = _endpoint_of(pool)
        cdef OtherPool **link
        key_unref(pool.key)
        if not pool.other:
            memset(pool, 0, sizeof(IdlePool))
            return
        link = &self.others[_bucket(endpoint, pool.key)]
        while link[0] != <OtherPool *> pool:
            link = &link[0].next
        link[0] = link[0].next
        free(pool)
        endpoint_unref(endpoint)


cdef IdlePool *_put_other(Pools pools, Endpoint *endpoint, const PoolKey *key) except NULL:
    """A new pool in the hash table, without its key."""
    cdef OtherPool *other = <OtherPool *> calloc(1, sizeof(OtherPool))
    cdef uint32_t bucket = _bucket(endpoint, key)
    if pools.others == NULL:
        pools.others = <OtherPool **> calloc(SIZE, sizeof(OtherPool *))
    if other == NULL or pools.others == NULL:
        free(other)
        raise MemoryError
    other.pool.other = True
    other.endpoint = endpoint
    endpoint_ref(endpoint)
    other.next = pools.others[bucket]
    pools.others[bucket] = other
    return &other.pool
