# Backends, endpoints and their owner, Upstreams. Every change comes from Python, in one thread, between turns.

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from fastroute.ext.memory.bytemap cimport bytes_hash, hash_secret, process_seed


cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, unsigned int size)


cdef extern from "<stdio.h>" nogil:
    int snprintf(char *out, size_t size, const char *format, ...)


cdef enum:
    IDENTITY_SEED = 0x66617374  # the same in all processes: a token made by one process is read by others
    SPAN = 16                   # endpoints of a step
    SHARDS = 64                 # dictionaries in Upstreams.endpoints
    LEAST = 128                 # unused backends are not removed below this number


# --- reference counts


cdef void endpoint_ref(Endpoint *endpoint) noexcept nogil:
    endpoint.refs += 1


cdef void endpoint_unref(Endpoint *endpoint) noexcept nogil:
    endpoint.refs -= 1
    if endpoint.refs == 0:
        free(endpoint)


cdef void backend_ref(Backend *backend) noexcept nogil:
    backend.refs += 1


cdef void backend_unref(Backend *backend) noexcept nogil:
    cdef uint32_t i
    backend.refs -= 1
    if backend.refs == 0:
        for i in range(backend.count):      # only when Upstreams itself is freed: it holds backends that have endpoints
            endpoint_unref(backend.endpoints[i])
        free(backend.endpoints)
        free(backend.places)
        free(backend)


# --- look-up


cdef inline uint32_t _first_place(uint64_t identity, uint32_t mask) noexcept nogil:
    """Anyone can compute identities, so the place also depends on a secret of the process."""
    return <uint32_t> ((identity * hash_secret(process_seed())) >> 32) & mask


cdef void _put_place(Endpoint **places, uint32_t mask, Endpoint *endpoint) noexcept nogil:
    """Open addressing, at most half full. Of addresses with the same identity, only the first one has a place."""
    cdef uint32_t place = _first_place(endpoint.identity, mask)
    while places[place]:
        if places[place].identity == endpoint.identity:
            return
        place = (place + 1) & mask
    places[place] = endpoint


cdef Endpoint *backend_find(const Backend *backend, uint64_t identity) noexcept nogil:
    cdef uint32_t place = _first_place(identity, backend.mask)
    if backend.places == NULL:
        return NULL
    while backend.places[place]:
        if backend.places[place].identity == identity:
            return backend.places[place]
        place = (place + 1) & backend.mask
    return NULL


# --- creation


cdef bytes _place(str address, int port):
    """Address and port as bytes in network order. Raises ValueError if they are invalid."""
    cdef bytes encoded = address.encode()
    cdef uint8_t raw[18]
    cdef int size = 16 if ":" in address else 4
    if not 0 < port < 65536 or inet_pton(AF_INET6 if size == 16 else AF_INET, encoded, raw) != 1:
        raise ValueError(f"{address!r} port {port} is no endpoint")
    raw[size] = port >> 8
    raw[size + 1] = port & 0xFF
    return (<const char *> raw)[:size + 2]


cdef Endpoint *_endpoint_new(bytes place) except NULL:
    """A new endpoint with one reference, listed by no backend."""
    cdef const uint8_t *raw = <const uint8_t *> <const char *> place
    cdef int size = <int> len(place) - 2
    cdef char text[46]
    cdef Endpoint *endpoint = <Endpoint *> calloc(1, sizeof(Endpoint))
    if endpoint == NULL:
        raise MemoryError
    endpoint.refs = 1
    endpoint.family = AF_INET6 if size == 16 else AF_INET
    endpoint.port = (raw[size] << 8) | raw[size + 1]
    endpoint.identity = bytes_hash(<const char *> raw, size + 2, IDENTITY_SEED)
    memcpy(endpoint.address, raw, size)
    inet_ntop(endpoint.family, raw, text, sizeof(text))
    snprintf(endpoint.label, sizeof(endpoint.label), b"[%s]:%d" if size == 16 else b"%s:%d", text, endpoint.port)
    return endpoint


cdef Backend *_backend_new(str id) except NULL:
    """A new backend with one reference and no endpoints."""
    cdef bytes encoded = id.encode()
    cdef size_t size = len(encoded)
    cdef Backend *backend = <Backend *> calloc(1, sizeof(Backend) + size)
    if backend == NULL:
        raise MemoryError
    memcpy(<char *> (backend + 1), <const char *> encoded, size)
    backend.refs = 1
    backend.name.data = <const char *> (backend + 1)
    backend.name.size = <uint32_t> size
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
        self.gone = NULL

    def __dealloc__(self):
        cdef Endpoint *endpoint = self.take_gone()
        while endpoint != NULL:
            endpoint_unref(endpoint)
            endpoint = self.take_gone()

    cdef Backend *backend(self, str id) except NULL:
        cdef Listed listed = self.backends.get(id)
        if listed is None:
            listed = Listed()
            listed.backend = _backend_new(id)
            self.backends[id] = listed
        return listed.backend

    cdef Endpoint *take_gone(self) noexcept nogil:
        cdef Endpoint *endpoint = self.gone
        if endpoint != NULL:
            self.gone = endpoint.next_gone
            endpoint.next_gone = NULL
        return endpoint

    def update(self, str backend not None, endpoints) -> None:
        """Replaces the eligible endpoints of a backend ("ns/name:port"): pairs of IP address and port.

        Raises ValueError for an invalid endpoint, and then changes nothing.
        """
        cdef Listing listing = Listing(self, backend)
        for address, port in endpoints:
            listing.put(address, port)
        for _ in listing.replacing():
            pass

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
        """Removes unused backends in steps if there are enough of them. Amortised cost: constant per added backend."""
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
    cdef list places            # address and port as bytes; None once it is in `endpoints`
    cdef uint32_t count
    cdef uint32_t usable        # see Backend; the others have failed
    cdef uint32_t mask
    cdef Endpoint **table
    cdef Endpoint **endpoints   # each is listed and has a reference

    def __init__(self, Upstreams upstreams not None, str backend not None):
        self.upstreams = upstreams
        self.backend = backend
        self.places = []
        upstreams.listings += 1
        self.number = upstreams.listings

    def __dealloc__(self):
        free(self.table)
        free(self.endpoints)

    def add(self, endpoints) -> None:
        """Raises ValueError for an invalid endpoint: then the Listing must not be used."""
        for endpoint in endpoints:
            self.put(endpoint.address, endpoint.port)

    cdef int put(self, str address, int port) except -1:
        self.places.append(_place(address, port))
        return 0

    def replacing(self):
        """Replaces the endpoints, in steps; traffic sees either all of the old ones or all of the new ones."""
        cdef Backend *changed = self.upstreams.backend(self.backend)
        cdef uint32_t all = <uint32_t> len(self.places)
        cdef uint32_t i
        self.reserve(all)
        backend_ref(changed)
        try:
            for i in range(all):
                self.append(_known(self.upstreams, self.places[i]).endpoint)
                self.places[i] = None
                if i % SPAN == SPAN - 1:
                    yield
        except BaseException:
            self.drop(self.count)
            backend_unref(changed)
            raise
        changed.places, self.table = self.table, changed.places
        changed.endpoints, self.endpoints = self.endpoints, changed.endpoints
        changed.mask = self.mask
        changed.count, self.count = self.count, changed.count
        changed.usable = self.usable
        backend_unref(changed)
        try:
            while self.count > SPAN:
                self.drop(SPAN)
                yield
        finally:
            self.drop(self.count)

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
        endpoint.listing = self.number
        endpoint.listed += 1
        endpoint_ref(endpoint)
        _put_place(self.table, self.mask, endpoint)
        self.endpoints[self.count] = endpoint
        if endpoint.failures == 0:
            self.endpoints[self.count] = self.endpoints[self.usable]
            self.endpoints[self.usable] = endpoint
            self.usable += 1
        self.count += 1
        return 0

    cdef int drop(self, uint32_t count) except -1:
        """Drops the last ones."""
        for _ in range(count):
            self.count -= 1
            _leave(self.upstreams, self.endpoints[self.count])
            endpoint_unref(self.endpoints[self.count])
        return 0


cdef dict _shard(Upstreams upstreams, bytes place):
    """The dictionary that has this address and port, if there is one."""
    return <dict> upstreams.endpoints[<Py_ssize_t> hash(place) & (SHARDS - 1)]


cdef Known _known(Upstreams upstreams, bytes place):
    """The endpoint with this address and port, created if no backend lists it."""
    cdef dict shard = _shard(upstreams, place)
    cdef Known known = shard.get(place)
    if known is None:
        known = Known()
        known.endpoint = _endpoint_new(place)
        shard[place] = known
    return known


cdef int _leave(Upstreams upstreams, Endpoint *endpoint) except -1:
    """Removes an endpoint from one backend; after the last one it is gone."""
    cdef uint8_t raw[18]
    cdef int size = 16 if endpoint.family == AF_INET6 else 4
    cdef Known known
    cdef bytes place
    endpoint.listed -= 1
    if endpoint.listed:
        return 0
    memcpy(raw, endpoint.address, size)
    raw[size] = endpoint.port >> 8
    raw[size + 1] = endpoint.port & 0xFF
    place = (<const char *> raw)[:size + 2]
    known = _shard(upstreams, place).pop(place)
    known.endpoint = NULL           # its reference now belongs to the list
    endpoint.gone = True
    endpoint.next_gone = upstreams.gone
    upstreams.gone = endpoint
    return 0
