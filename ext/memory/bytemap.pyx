# Filling the map: it doubles its size when it is half full.
#
# A large map allocates its memory directly from the kernel: the kernel provides zeroed memory, and the map can return it
# in pieces. To return a megabyte takes 0.4 ms.

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastroute.ext.memory.random cimport random_seed

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void *MAP_FAILED

cdef enum:
    LARGE = 8192                # cells from which a map is large
    MOVED = 256                 # cells that one step moves
    RELEASED = 32768            # cells, of one megabyte, that one step gives back

cdef uint64_t _seed = random_seed()


cdef uint64_t process_seed() noexcept nogil:
    return _seed


cdef void bytemap_start(ByteMap *map) noexcept nogil:
    map.cells = NULL
    map.mask = 0
    map.used = 0
    map.seed = _seed
    map.growth = NULL


cdef Cell *_cells_new(uint32_t count) except NULL nogil:
    cdef void *cells
    if count < LARGE:
        cells = calloc(count, sizeof(Cell))
    else:
        cells = mmap(NULL, count * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if cells == MAP_FAILED:
            cells = NULL
    if cells == NULL:
        with gil:
            raise MemoryError
    return <Cell *> cells


cdef bint _release(Cell **cells, uint32_t *count) noexcept nogil:
    """Frees the cells; if there are many, only a part of them. True: all are freed."""
    cdef uint32_t piece
    if cells[0] != NULL and count[0] < LARGE:
        free(cells[0])
    elif cells[0] != NULL:
        piece = min(count[0], <uint32_t> RELEASED)
        count[0] -= piece
        munmap(cells[0] + count[0], piece * sizeof(Cell))
        if count[0]:
            return False
    cells[0] = NULL
    count[0] = 0
    return True


cdef void _move(const ByteMap *map, uint32_t begin, uint32_t end, Cell *cells, uint32_t mask) noexcept nogil:
    """Copies the keys in these cells to `cells`."""
    cdef uint32_t index
    for index in range(begin, end):
        if map.cells[index].value != NULL:
            _place(cells, mask, &map.cells[index])


cdef void _place(Cell *cells, uint32_t mask, const Cell *cell) noexcept nogil:
    cdef uint32_t index = <uint32_t> cell.hash & mask
    while cells[index].value != NULL:
        index = (index + 1) & mask
    cells[index] = cell[0]


cdef int _resize(ByteMap *map, uint32_t size) except -1 nogil:
    cdef Cell *cells = _cells_new(size)
    if map.cells != NULL:
        _move(map, 0, map.mask + 1, cells, size - 1)
        bytemap_free(map)
    map.cells = cells
    map.mask = size - 1
    return 0


cdef int _start_growth(ByteMap *map, uint32_t more) except -1 nogil:
    cdef Growth *growth = <Growth *> calloc(1, sizeof(Growth))
    if growth == NULL:
        with gil:
            raise MemoryError
    map.growth = growth
    growth.cells_count = 2 * (map.mask + 1)
    while 2 * (map.used + more) > growth.cells_count:
        growth.cells_count *= 2
    growth.cells = _cells_new(growth.cells_count)
    return 0


cdef bint bytemap_widen(ByteMap *map, uint32_t more) except -1 nogil:
    cdef Growth *growth = map.growth
    cdef uint32_t count = map.mask + 1
    cdef uint32_t end
    if growth == NULL:
        if map.cells == NULL or count < LARGE or 2 * (map.used + more) <= count:
            return False
        _start_growth(map, more)
    elif growth.cells != NULL:
        end = min(growth.cursor + MOVED, count)
        _move(map, growth.cursor, end, growth.cells, growth.cells_count - 1)
        growth.cursor = end
        if end == count:
            growth.old, growth.old_count = map.cells, count
            map.cells, map.mask = growth.cells, growth.cells_count - 1
            growth.cells = NULL
    elif _release(&growth.old, &growth.old_count):
        free(growth)
        map.growth = NULL
    return True


cdef int bytemap_expect(ByteMap *map, uint32_t count) except -1 nogil:
    cdef uint32_t size = 2
    if count == 0 or map.cells != NULL:
        return 0
    while size < 2 * count:
        size *= 2
    return _resize(map, size)


cdef int bytemap_put(ByteMap *map, uint32_t owner, const char *data, uint32_t size, void *value) except -1 nogil:
    cdef Cell *cell
    if map.cells == NULL:
        _resize(map, 2)
    elif 2 * (map.used + 1) > map.mask + 1:
        _resize(map, 2 * (map.mask + 1))
    cell = bytemap_cell(map, owner, data, size)
    cell.value = value
    cell.data = data
    cell.size = size
    cell.owner = owner
    cell.hash = bytes_hash(data, size, map.seed + owner)
    map.used += 1
    return 0


cdef bint bytemap_free_piece(ByteMap *map) noexcept nogil:
    cdef Growth *growth = map.growth
    cdef uint32_t count = map.mask + 1
    cdef bint done
    if growth != NULL:
        if not _release(&growth.cells, &growth.cells_count) or not _release(&growth.old, &growth.old_count):
            return False
        free(growth)
        map.growth = NULL
    done = _release(&map.cells, &count)
    map.mask = count - 1
    return done


cdef void bytemap_take(ByteMap *map, const Cell *cell) noexcept nogil:
    _place(map.cells, map.mask, cell)
    map.used += 1


cdef int bytemap_copy(ByteMap *map, const ByteMap *other) except -1 nogil:
    if other.cells == NULL:
        return 0
    map.cells = _cells_new(other.mask + 1)
    memcpy(map.cells, other.cells, (other.mask + 1) * sizeof(Cell))
    map.mask, map.used = other.mask, other.used
    return 0


cdef void bytemap_remove(ByteMap *map, Cell *cell) noexcept nogil:
    """Moves those of the following keys back that would not be found any more behind a free cell."""
    cdef uint32_t hole = <uint32_t> (cell - map.cells)
    cdef uint32_t index = hole
    cdef uint32_t home
    while True:
        index = (index + 1) & map.mask
        if map.cells[index].value == NULL:
            break
        home = <uint32_t> map.cells[index].hash & map.mask
        if ((index - home) & map.mask) >= ((index - hole) & map.mask):
            map.cells[hole] = map.cells[index]
            hole = index
    memset(&map.cells[hole], 0, sizeof(Cell))
    map.used -= 1


cdef void bytemap_free(ByteMap *map) noexcept nogil:
    while not bytemap_free_piece(map):
        pass
