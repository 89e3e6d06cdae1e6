# Filling the map: it doubles its size when it is half full.
#
# A large map allocates its memory directly from the kernel: the kernel provides zeroed memory, and the map can return it
# in pieces. To return a megabyte takes 0.4 ms.

from libc.stdlib cimport calloc, free

from fastroute.ext.memory.random cimport random_seed

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void *MAP_FAILED

cdef enum:
    LARGE = 8192                # places from which a map is large
    MOVED = 256                 # places that one step moves
    RELEASED = 32768            # places, of one megabyte, that one step gives back

cdef uint64_t _seed = random_seed()


cdef uint64_t process_seed() noexcept nogil:
    return _seed


cdef void bytemap_start(ByteMap *map) noexcept nogil:
    map.places = NULL
    map.mask = 0
    map.used = 0
    map.seed = _seed
    map.growth = NULL


cdef Place *_places_new(uint32_t count) except NULL nogil:
    cdef void *places
    if count < LARGE:
        places = calloc(count, sizeof(Place))
    else:
        places = mmap(NULL, count * sizeof(Place), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if places == MAP_FAILED:
            places = NULL
    if places == NULL:
        with gil:
            raise MemoryError
    return <Place *> places


cdef bint _release(Place **places, uint32_t *count) noexcept nogil:
    """Frees the places; if there are many, only a part of them. True: all are freed."""
    cdef uint32_t piece
    if places[0] != NULL and count[0] < LARGE:
        free(places[0])
    elif places[0] != NULL:
        piece = min(count[0], <uint32_t> RELEASED)
        count[0] -= piece
        munmap(places[0] + count[0], piece * sizeof(Place))
        if count[0]:
            return False
    places[0] = NULL
    count[0] = 0
    return True


cdef void _move(const ByteMap *map, uint32_t begin, uint32_t end, Place *places, uint32_t mask) noexcept nogil:
    """Copies the keys in these places to `places`."""
    cdef uint32_t index, new
    for index in range(begin, end):
        if map.places[index].value != NULL:
            new = <uint32_t> map.places[index].hash & mask
            while places[new].value != NULL:
                new = (new + 1) & mask
            places[new] = map.places[index]


cdef int _resize(ByteMap *map, uint32_t size) except -1 nogil:
    cdef Place *places = _places_new(size)
    if map.places != NULL:
        _move(map, 0, map.mask + 1, places, size - 1)
        bytemap_free(map)
    map.places = places
    map.mask = size - 1
    return 0


cdef int _start_growth(ByteMap *map, uint32_t more) except -1 nogil:
    cdef Growth *growth = <Growth *> calloc(1, sizeof(Growth))
    if growth == NULL:
        with gil:
            raise MemoryError
    map.growth = growth
    growth.places_count = 2 * (map.mask + 1)
    while 2 * (map.used + more) > growth.places_count:
        growth.places_count *= 2
    growth.places = _places_new(growth.places_count)
    return 0


cdef bint bytemap_widen(ByteMap *map, uint32_t more) except -1 nogil:
    cdef Growth *growth = map.growth
    cdef uint32_t count = map.mask + 1
    cdef uint32_t end
    if growth == NULL:
        if map.places == NULL or count < LARGE or 2 * (map.used + more) <= count:
            return False
        _start_growth(map, more)
    elif growth.places != NULL:
        end = min(growth.cursor + MOVED, count)
        _move(map, growth.cursor, end, growth.places, growth.places_count - 1)
        growth.cursor = end
        if end == count:
            growth.old, growth.old_count = map.places, count
            map.places, map.mask = growth.places, growth.places_count - 1
            growth.places = NULL
    elif _release(&growth.old, &growth.old_count):
        free(growth)
        map.growth = NULL
    return True


cdef int bytemap_expect(ByteMap *map, uint32_t count) except -1 nogil:
    cdef uint32_t size = 2
    if count == 0 or map.places != NULL:
        return 0
    while size < 2 * count:
        size *= 2
    return _resize(map, size)


cdef int bytemap_put(ByteMap *map, uint32_t owner, const char *data, uint32_t size, void *value) except -1 nogil:
    cdef Place *place
    if map.places == NULL:
        _resize(map, 2)
    elif 2 * (map.used + 1) > map.mask + 1:
        _resize(map, 2 * (map.mask + 1))
    place = bytemap_place(map, owner, data, size)
    place.value = value
    place.data = data
    place.size = size
    place.owner = owner
    place.hash = bytes_hash(data, size, map.seed + owner)
    map.used += 1
    return 0


cdef bint bytemap_free_piece(ByteMap *map) noexcept nogil:
    cdef Growth *growth = map.growth
    cdef uint32_t count = map.mask + 1
    cdef bint done
    if growth != NULL:
        if not _release(&growth.places, &growth.places_count) or not _release(&growth.old, &growth.old_count):
            return False
        free(growth)
        map.growth = NULL
    done = _release(&map.places, &count)
    map.mask = count - 1
    return done


cdef void bytemap_free(ByteMap *map) noexcept nogil:
    while not bytemap_free_piece(map):
        pass
