# Backends and their owner, Upstreams. Every change comes from Python, in one thread, between turns.

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from fastroute.ext.memory.bytemap cimport hash_secret, process_seed
from fastroute.ext.memory.owner cimport owner_of
from fastroute.ext.routing.endpoint cimport endpoint_new, endpoint_packed, endpoint_packed_of
from fastroute.ext.routing.poolkey cimport key_ref, key_unref
from fastroute.ext.routing.pools cimport pool_of

cdef enum:
    SPAN = 16                   # endpoints of a step
    SHARDS = 64                 # dictionaries in Upstreams.endpoints
    LEAST = 128                 # unused backends are not removed below this number


# --- reference counts


cdef void backend_ref(Backend *backend) noexcept nogil:
    backend.refs += 1


cdef void backend_unref(Backend *backend) noexcept nogil:
    cdef uint32_t i
    backend.refs -= 1
    if backend.refs == 0:
        for i in range(backend.count):      # only when Upstreams itself is freed: it holds backends that have endpoints
            endpoint_unref(backend.endpoints[i])
        key_unref(backend.key)
        free(backend.endpoints)
        free(backend.cells)
        free(backend)


# --- look-up


cdef inline uint32_t _first_cell(uint64_t identity, uint32_t mask) noexcept nogil:
    """Anyone can compute identities, so the cell also depends on a secret of the process."""
    return <uint32_t> ((identity * hash_secret(process_seed())) >> 32) & mask


cdef void _put_cell(Endpoint **cells, uint32_t mask, Endpoint *endpoint) noexcept nogil:
    """Open addressing, at most half full. Of addresses with the same identity, only the first one has a cell."""
    cdef uint32_t cell = _first_cell(endpoint.identity, mask)
    while cells[cell]:
        if cells[cell].identity == endpoint.identity:
            return
        cell = (cell + 1) & mask
    cells[cell] = endpoint


cdef Endpoint *backend_find(const Backend *backend, uint64_t identity) noexcept nogil:
    cdef uint32_t cell = _first_cell(identity, backend.mask)
    if backend.cells == NULL:
        return NULL
    while backend.cells[cell]:
        if backend.cells[cell].identity == identity:
            return backend.cells[cell]
        cell = (cell + 1) & backend.mask
    return NULL


# --- creation


cdef Backend *_backend_new(str id, PoolKey *key) except NULL:
    """A new backend with one reference and no endpoints."""
    cdef bytes encoded = id.encode()
    cdef size_t size = len(encoded)
    cdef uint16_t owner = owner_of(id.partition("/")[0])
    cdef Backend *backend = <Backend *> calloc(1, sizeof(Backend) + size)
    if backend == NULL:
        raise MemoryError
    memcpy(<char *> (backend + 1), <const char *> encoded, size)
    backend.refs = 1
    backend.owner = owner
    backend.name.data = <const char *> (backend + 1)
    backend.name.size = <uint32_t> size
    backend.key = key
    key_ref(key)
    return backend


cdef class Listed:
    """A backend of Upstreams; holds a reference."""

    cdef Backend *backend

    def __dealloc__(self):
        if self.backend != NULL:
            backend_unref(self.backend)


cdef class Known:
    """An endpoint that a backend lists; holds a reference."""

    cdef Endpoint *endpoint

    def __dealloc__(self):
        if self.endpoint != NULL:
            endpoint_unref(self.endpoint)


cdef class Upstreams:
    """Backends and endpoints: live, shared by all versions of the tables and all rules that refer to them."""

    def __cinit__(self):
        self.enough = LEAST
        self.backends = {}
        self.endpoints = [{} for _ in range(SHARDS)]
        self.keys = PoolKeys()
        self.pools = Pools()

    def __dealloc__(self):
        cdef Endpoint *endpoint
        while self.left != NULL:
            endpoint = self.left
            self.left = endpoint.next_left
            endpoint_unref(endpoint)

    cdef Backend *backend(self, str id) except NULL:
        cdef Listed listed = self.backends.get(id)
        if listed is None:
            listed = Listed()
            listed.backend = _backend_new(id, self.keys.plain)
            self.backends[id] = listed
        return listed.backend

    def update(self, str backend not None, endpoints) -> None:
        """Replaces the eligible endpoints of a backend ("ns/name:port"): pairs of IP address and port.

        Raises ValueError for an invalid endpoint, and then changes nothing.
        """
        cdef Listing listing = Listing(self, backend)
        for address, port in endpoints:
            listing.put(address, port)
        for _ in listing.replacing():
            pass

    def speak(self, str backend not None, like) -> None:
        """Gives a backend the protocol and TLS of a snapshot.Backend. Raises ValueError, and then changes nothing."""
        for _ in self.speaking(backend, like):
            pass

    def speaking(self, str backend not None, like):
        """`speak` in steps."""
        cdef Listing listing = Listing(self, backend)
        listing.speak(like)
        listing.keep()
        yield from listing.replacing()

    def trust(self, bytes system not None) -> None:
        """Sets the trust anchors of the operating system, as PEM: those of a BackendTLS without others."""
        self.keys.system = system

    def preparing(self, like):
        """Makes the pool key of a snapshot.Backend in steps. ValueError: TLS is not possible with it, and every
        connection will fail."""
        yield from self.keys.preparing(like)

    @property
    def pool_keys(self) -> int:
        """The number of pool keys, including unused ones that are not removed yet."""
        return len(self.keys)

    def remove(self, str backend not None) -> None:
        """Removes the endpoints of a backend that no version lists any more; rules in flight may still refer to it."""
        for _ in self.removing(backend):
            pass

    def removing(self, str backend not None):
        """`remove` in steps."""
        cdef Listed listed = self.backends.get(backend)
        if listed is None:
            return
        yield from Listing(self, backend).replacing()
        if listed.backend.refs == 1:
            del self.backends[backend]

    def tidying(self):
        """Removes unused pool keys in steps, and unused backends if there are enough of them. Amortised cost: constant
        per added backend."""
        yield from self.keys.pruning()
        if len(self.backends) > self.enough:
            yield from self.sweeping()
            self.enough = max(2 * len(self.backends), LEAST)

    def sweeping(self):
        """Removes backends without endpoints that no rule refers to, in steps."""
        cdef Listed listed
        for id, listed in list(self.backends.items()):
            if listed.backend.refs == 1 and listed.backend.count == 0:
                del self.backends[id]
            yield

    def avoided(self, uint64_t now):
        """The labels of the endpoints that are avoided at `now` (engine milliseconds), and whether they are of UDP, in
        steps: a list for each."""
        cdef Endpoint *endpoint
        for shard in self.endpoints:
            found = []
            for known in (<dict> shard).values():
                endpoint = (<Known> known).endpoint
                if endpoint.avoided_until > now:
                    found.append((endpoint.label.decode(), bool(endpoint.datagrams)))
            yield found

    def statistics(self) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """By backend: label, requests in flight and consecutive connect failures of each endpoint."""
        cdef Backend *backend
        cdef uint32_t i
        found = {}
        for id, listed in self.backends.items():
            backend = (<Listed> listed).backend
            found[id] = tuple([
                (
                    backend.endpoints[i].label.decode(),
                    backend.endpoints[i].in_flight,
                    backend.endpoints[i].failures,
                )
                for i in range(backend.count)
            ])
        return found


cdef class Listing:
    """The new endpoints of a backend, until `replacing` installs them instead of the old ones."""

    cdef Upstreams upstreams
    cdef str backend
    cdef uint64_t number        # of all Listings of `upstreams`
    cdef bint datagrams         # the backend is a port of UDP (graph/backend_id.py)
    cdef list packed            # address and port as bytes; None once it is in `endpoints`
    cdef bint keeps             # instead of `packed`: the endpoints that the backend has
    cdef PoolKey *key           # NULL: that of the backend; holds a reference
    cdef uint32_t count
    cdef uint32_t usable        # see Backend; the others have failed
    cdef uint32_t mask
    cdef Endpoint **table
    cdef Endpoint **endpoints   # each is listed and has a reference

    def __init__(self, Upstreams upstreams not None, str backend not None):
        self.upstreams = upstreams
        self.backend = backend
        self.packed = []
        self.datagrams = backend.endswith("/udp")
        upstreams.listings += 1
        self.number = upstreams.listings

    def __dealloc__(self):
        if self.key != NULL:
            key_unref(self.key)
        free(self.table)
        free(self.endpoints)

    def add(self, endpoints) -> None:
        """Raises ValueError for an invalid endpoint: then the Listing must not be used."""
        for endpoint in endpoints:
            self.put(endpoint.address, endpoint.port)

    cdef int put(self, str address, int port) except -1:
        self.packed.append(endpoint_packed(address, port, self.datagrams))
        return 0

    def keep(self) -> None:
        """Keeps the endpoints of the backend."""
        self.keeps = True

    def speak(self, like) -> None:
        """Changes the protocol and TLS to those of a snapshot.Backend. Raises ValueError if they are not known."""
        cdef PoolKey *key = self.upstreams.keys.key_for(like)
        key_ref(key)
        if self.key != NULL:
            key_unref(self.key)
        self.key = key

    def replacing(self):
        """Replaces the endpoints and the pool key, in steps; traffic sees either everything old or everything new."""
        cdef Backend *changed = self.upstreams.backend(self.backend)
        if self.key == NULL:
            self.key = changed.key
            key_ref(self.key)
        elif self.keeps and self.key == changed.key:
            return
        backend_ref(changed)
        try:
            yield from self.filling(changed.count) if self.keeps else self.finding()
        except BaseException:
            self.drop(self.count, self.key)
            backend_unref(changed)
            raise
        changed.cells, self.table = self.table, changed.cells
        changed.endpoints, self.endpoints = self.endpoints, changed.endpoints
        changed.mask = self.mask
        changed.count, self.count = self.count, changed.count
        changed.usable = self.usable
        changed.key, self.key = self.key, changed.key
        try:
            while self.count > SPAN:
                self.drop(SPAN, changed.key)
                yield
        finally:
            self.drop(self.count, changed.key)
            backend_unref(changed)

    def finding(self):
        """Appends the endpoints of `packed`, in steps."""
        cdef uint32_t i
        self.reserve(<uint32_t> len(self.packed))
        for i in range(<uint32_t> len(self.packed)):
            self.append(_known(self.upstreams, self.packed[i]).endpoint)
            self.packed[i] = None
            if i % SPAN == SPAN - 1:
                yield

    def filling(self, uint32_t count):
        """Appends the endpoints that the backend has, in steps. Their order may change between two steps."""
        cdef Kept kept = Kept(count)
        cdef uint32_t i
        if count:
            memcpy(kept.endpoints, self.upstreams.backend(self.backend).endpoints, count * sizeof(Endpoint *))
        self.reserve(count)
        for i in range(count):
            self.append(kept.endpoints[i])
            if i % SPAN == SPAN - 1:
                yield

    cdef int reserve(self, uint32_t count) except -1:
        if count == 0:
            return 0
        while self.mask + 1 < 2 * count:
            self.mask = 2 * self.mask + 1
        self.endpoints = <Endpoint **> malloc(count * sizeof(Endpoint *))
        self.table = <Endpoint **> calloc(self.mask + 1, sizeof(Endpoint *))
        if self.endpoints == NULL or self.table == NULL:
            raise MemoryError
        return 0

    cdef int append(self, Endpoint *endpoint) except -1:
        """Appends it unless it is there: an address may be listed several times."""
        if endpoint.listing == self.number:
            return 0
        self.upstreams.pools.enter(endpoint, self.key)
        endpoint.listing = self.number
        endpoint_ref(endpoint)
        _put_cell(self.table, self.mask, endpoint)
        self.endpoints[self.count] = endpoint
        if endpoint.failures == 0:
            self.endpoints[self.count] = self.endpoints[self.usable]
            self.endpoints[self.usable] = endpoint
            self.usable += 1
        self.count += 1
        return 0

    cdef int drop(self, uint32_t count, const PoolKey *present) except -1:
        """Drops the last ones. `present`: the key of the backend now."""
        cdef const Backend *backend = self.upstreams.backend(self.backend)
        cdef Endpoint *endpoint
        for _ in range(count):
            self.count -= 1
            endpoint = self.endpoints[self.count]
            if endpoint.flows.first and backend_find(backend, endpoint.identity) != endpoint:
                _note_left(self.upstreams, endpoint)
            _leave(self.upstreams, endpoint, self.key)
            pool_of(self.upstreams.pools, endpoint, present)    # may move its pool into the endpoint
            endpoint_unref(endpoint)
        return 0


cdef void _note_left(Upstreams upstreams, Endpoint *endpoint) noexcept nogil:
    """The engine compares its flows with their backends."""
    endpoint.unchecked = endpoint.in_flight
    if not endpoint.is_left:
        endpoint.is_left = True
        endpoint.next_left = upstreams.left
        upstreams.left = endpoint
        endpoint_ref(endpoint)


cdef class Kept:
    """Room for some endpoints; holds no references."""

    cdef Endpoint **endpoints

    def __cinit__(self, uint32_t count):
        self.endpoints = <Endpoint **> malloc((count + 1) * sizeof(Endpoint *))
        if self.endpoints == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.endpoints)


cdef dict _shard(Upstreams upstreams, bytes packed):
    """The dictionary that has this address and port, if there is one."""
    return <dict> upstreams.endpoints[<Py_ssize_t> hash(packed) & (SHARDS - 1)]


cdef Known _known(Upstreams upstreams, bytes packed):
    """The endpoint with this address and port, created if no backend lists it."""
    cdef dict shard = _shard(upstreams, packed)
    cdef Known known = shard.get(packed)
    if known is None:
        known = Known()
        known.endpoint = endpoint_new(packed)
        shard[packed] = known
    return known


cdef int _leave(Upstreams upstreams, Endpoint *endpoint, PoolKey *key) except -1:
    """Removes an endpoint from one backend with this key; after the last one it is forgotten."""
    cdef bytes packed
    upstreams.pools.leave(endpoint, key)
    if endpoint.listed == 0:
        packed = endpoint_packed_of(endpoint)
        del _shard(upstreams, packed)[packed]
    return 0
