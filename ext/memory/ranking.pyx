"""Numbers by weight; see ranking.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef int ranking_open(Ranking *ranking, uint32_t size) except -1:
    ranking.weights = <uint64_t *> calloc(size, sizeof(uint64_t))
    ranking.places = <uint16_t *> calloc(size, sizeof(uint16_t))
    ranking.order = <uint16_t *> calloc(size, sizeof(uint16_t))
    if ranking.weights is NULL or ranking.places is NULL or ranking.order is NULL:
        raise MemoryError
    return 0


cdef void ranking_close(Ranking *ranking) noexcept nogil:
    free(ranking.weights)
    free(ranking.places)
    free(ranking.order)


cdef inline uint64_t weight_at(const Ranking *ranking, uint32_t place) noexcept nogil:
    return ranking.weights[ranking.order[place]]


cdef inline void put(Ranking *ranking, uint32_t place, uint16_t number) noexcept nogil:
    ranking.order[place] = number
    ranking.places[number] = <uint16_t> place


cdef void rise(Ranking *ranking, uint16_t number) noexcept nogil:
    """Moves it up while it is heavier than the one above it."""
    cdef uint64_t weight = ranking.weights[number]
    cdef uint32_t place = ranking.places[number]
    cdef uint32_t above
    while place > 0:
        above = (place - 1) // 2
        ranking.steps += 1
        if weight_at(ranking, above) >= weight:
            break
        put(ranking, place, ranking.order[above])
        place = above
    put(ranking, place, number)


cdef void sink(Ranking *ranking, uint16_t number) noexcept nogil:
    """Moves it down while one below it is heavier."""
    cdef uint64_t weight = ranking.weights[number]
    cdef uint32_t place = ranking.places[number]
    cdef uint32_t below = 2 * place + 1
    while below < ranking.count:
        if below + 1 < ranking.count and weight_at(ranking, below + 1) > weight_at(ranking, below):
            below += 1
        ranking.steps += 1
        if weight_at(ranking, below) <= weight:
            break
        put(ranking, place, ranking.order[below])
        place = below
        below = 2 * place + 1
    put(ranking, place, number)


cdef void leave(Ranking *ranking, uint16_t number) noexcept nogil:
    """Removes it: the last one takes its place, and moves from there."""
    cdef uint32_t place = ranking.places[number]
    cdef uint16_t last = ranking.order[ranking.count - 1]
    ranking.count -= 1
    if last != number:
        put(ranking, place, last)
        rise(ranking, last)
        sink(ranking, last)


cdef void ranking_set(Ranking *ranking, uint16_t number, uint64_t weight) noexcept nogil:
    cdef uint64_t before = ranking.weights[number]
    ranking.weights[number] = weight
    if weight == before:
        return
    if weight == 0:
        leave(ranking, number)
        return
    if before == 0:
        put(ranking, ranking.count, number)
        ranking.count += 1
    if weight > before:
        rise(ranking, number)
    else:
        sink(ranking, number)
