# Parsing and look-up. The table of a query with the same parameter many times has it once: the first counts.

from libc.string cimport memchr, memcmp, memcpy, memset

from fastroute.ext.memory.bytemap cimport bytes_hash, lower_hash, process_seed
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.message cimport Field, is_forwarded


cdef void facts_start(Facts *facts, const Message *message, Arena *arena) noexcept nogil:
    facts.message = message
    facts.method = message.method
    facts.arena = arena
    facts.headers.cells = NULL
    facts.query.cells = NULL
    facts.failed = False


cdef uint32_t facts_room(const HeadLimits *limits) noexcept nogil:
    """A parameter has at least two bytes of the target. The cells are at most twice the names, in 4 bytes each. Each
    field may be joined, in a piece of memory that is aligned."""
    cdef uint32_t names = limits.fields + limits.target // 2 + 8
    return names * (<uint32_t> sizeof(Fact) + 16) + limits.head + 64


cdef uint64_t name_hash(const Slice *name, bint query) noexcept nogil:
    if query:
        return bytes_hash(name.data, name.size, process_seed())
    return lower_hash(name.data, name.size, process_seed())


cdef uint64_t slice_hash(const Slice *slice) noexcept nogil:
    return bytes_hash(slice.data, slice.size, process_seed()) | 1


cdef uint64_t value_hash(Fact *fact) noexcept nogil:
    if fact.value_hash == 0:
        fact.value_hash = slice_hash(&fact.value)
    return fact.value_hash


cdef bint _make_room(Facts *facts, Names *names, uint32_t most) noexcept nogil:
    """For at most that many names. False: the arena is full."""
    cdef uint32_t size = 4
    while size < most:
        size *= 2
    names.count = 0
    names.mask = size - 1
    names.facts = <Fact *> arena_take(facts.arena, most * <uint32_t> sizeof(Fact))
    if names.facts != NULL:
        names.cells = <uint32_t *> arena_take(facts.arena, size * <uint32_t> sizeof(uint32_t))
    if names.cells == NULL:
        facts.failed = True
        return False
    memset(names.cells, 0, size * sizeof(uint32_t))
    return True


cdef Fact *_add(Names *names, Slice name, Slice value, uint64_t hash) noexcept nogil:
    cdef Fact *fact = &names.facts[names.count]
    cdef uint32_t *cell = &names.cells[hash & names.mask]
    names.count += 1
    fact.name, fact.value = name, value
    fact.hash = hash
    fact.value_hash = 0
    fact.lines = 1
    fact.next = cell[0]
    cell[0] = names.count
    return fact


cdef Fact *_find(const Names *names, uint64_t hash) noexcept nogil:
    cdef uint32_t at = names.cells[hash & names.mask]
    cdef Fact *fact
    while at:
        fact = &names.facts[at - 1]
        if fact.hash == hash:
            return fact
        at = fact.next
    return NULL


# --- header fields


cdef bint _same_field(const Slice *a, const Slice *b) noexcept nogil:
    """Without regard to case."""
    cdef uint32_t i
    cdef unsigned char one, other
    if a.size != b.size:
        return False
    for i in range(a.size):
        one, other = a.data[i], b.data[i]
        if one != other and ((one ^ other) != 0x20 or not c'a' <= (one | 0x20) <= c'z'):
            return False
    return True


cdef bint _read_headers(Facts *facts) noexcept nogil:
    cdef const Message *message = facts.message
    cdef const Field *field
    cdef Fact *fact
    cdef uint64_t hash
    cdef uint32_t i
    if not _make_room(facts, &facts.headers, message.fields_count + 1):
        return False
    for i in range(message.fields_count):
        field = &message.fields[i]
        if not is_forwarded(message, field):
            continue
        hash = name_hash(&field.name, False)
        fact = _find(&facts.headers, hash)
        if fact == NULL:
            _add(&facts.headers, field.name, field.value, hash)
        elif _same_field(&fact.name, &field.name):
            fact.lines += 1
        else:
            facts.failed = True
    return True


cdef bint _join(Facts *facts, Fact *fact) noexcept nogil:
    """Joins the values of several lines, once. False: the arena is full."""
    cdef const Message *message = facts.message
    cdef const Field *field
    cdef uint32_t i, size = 0
    cdef char *out
    for i in range(message.fields_count):
        field = &message.fields[i]
        if is_forwarded(message, field) and _same_field(&fact.name, &field.name):
            size += field.value.size + 1
    out = <char *> arena_take(facts.arena, size)
    if out == NULL:
        facts.failed = True
        return False
    fact.value.data = out
    fact.value.size = size - 1
    fact.lines = 1
    for i in range(message.fields_count):
        field = &message.fields[i]
        if is_forwarded(message, field) and _same_field(&fact.name, &field.name):
            memcpy(out, field.value.data, field.value.size)
            out += field.value.size
            out[0] = c','
            out += 1
    return True


cdef Fact *fact_of_header(Facts *facts, uint64_t hash) noexcept nogil:
    cdef Fact *fact
    if facts.headers.cells == NULL and not _read_headers(facts):
        return NULL
    fact = _find(&facts.headers, hash)
    if fact != NULL and fact.lines > 1 and not _join(facts, fact):
        return NULL
    return fact


# --- query parameters


cdef bint _read_query(Facts *facts) noexcept nogil:
    cdef const char *at = facts.message.query.data
    cdef const char *end = at + facts.message.query.size
    cdef const char *stop
    cdef const char *equals
    cdef Slice name, value
    cdef Fact *fact
    cdef uint64_t hash
    if not _make_room(facts, &facts.query, facts.message.query.size // 2 + 1):
        return False
    while at < end:
        stop = <const char *> memchr(at, c'&', end - at)
        if stop == NULL:
            stop = end
        equals = <const char *> memchr(at, c'=', stop - at)
        name.data = at
        name.size = <uint32_t> ((equals if equals != NULL else stop) - at)
        value.data = equals + 1 if equals != NULL else stop
        value.size = <uint32_t> (stop - value.data)
        at = stop + 1
        if name.size == 0:
            continue
        hash = name_hash(&name, True)
        fact = _find(&facts.query, hash)
        if fact == NULL:
            _add(&facts.query, name, value, hash)
        elif fact.name.size != name.size or memcmp(fact.name.data, name.data, name.size) != 0:
            facts.failed = True
    return True


cdef Fact *fact_of_parameter(Facts *facts, uint64_t hash) noexcept nogil:
    if facts.query.cells == NULL and not _read_query(facts):
        return NULL
    return _find(&facts.query, hash)
