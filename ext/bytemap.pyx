# Filling the map: it doubles its size when it is half full.

from libc.stdlib cimport calloc, free

from fastroute.ext.random cimport random_seed

cdef uint64_t _seed = random_seed()


cdef uint64_t process_seed() noexcept nogil:
    return _seed


cdef void bytemap_start(ByteMap *map) noexcept nogil:
    map.places = NULL
    map.mask = 0
    map.used = 0
    map.seed = _seed


cdef int _resize(ByteMap *map, uint32_t size) except -1 nogil:
    cdef Place *places = <Place *> calloc(size, sizeof(Place))
    cdef uint32_t index, new
    if places == NULL:
        with gil:
            raise MemoryError
    if map.places != NULL:
        for index in range(map.mask + 1):
            if map.places[index].value != NULL:
                new = <uint32_t> map.places[index].hash & (size - 1)
                while places[new].value != NULL:
                    new = (new + 1) & (size - 1)
                places[new] = map.places[index]
        free(map.places)
    map.places = places
    map.mask = size - 1
    return 0


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


cdef void bytemap_free(ByteMap *map) noexcept nogil:
    free(map.places)
    map.places = NULL
