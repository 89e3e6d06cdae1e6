# Creates the chain of a rule or backendRef from the filters of a snapshot: first as Python tuples, then in C memory.
#
# The control plane has validated the values. Whatever could still break the framing of a message is made harmless here:
# control bytes in field values become spaces, bytes that are not allowed in a path are percent-encoded, and fields that
# concern framing, the connection or loops (HOP; also with '_' instead of '-') are not changed, because the engine writes
# them itself. Setting Host rewrites the authority; Host cannot be added or removed.

from libc.stdlib cimport calloc, free

from fastroute.ext.memory.pool cimport Pool, pool_free, pool_start, pool_take, pool_text
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.octet cimport lower
from fastroute.ext.routing.backends cimport Upstreams, backend_ref, backend_unref
from fastroute.ext.routing.cors cimport cors_new

cdef frozenset HOP = frozenset({
    "connection", "content-length", "expect", "fastroute-loop", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
cdef frozenset TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
cdef frozenset PATH = frozenset(b"-._~!$&'()*+,;=:@/%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
cdef frozenset AUTHORITY = frozenset("-._:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


cdef str _safe_path(str path):
    """A path that contains only bytes that are allowed in a request line."""
    return "".join([chr(byte) if byte in PATH else f"%{byte:02X}" for byte in path.encode()])


cdef list _header_steps(modifier):
    """(type, name, value) for each action of a header modifier. Each name has at most one action, so order does not
    matter."""
    response = modifier.direction == "response"
    steps = []
    for header in modifier.set:
        if header.name.lower() != "host" or response:
            steps.append((STEP_SET, header.name, header.value))
        elif header.value and AUTHORITY.issuperset(header.value):
            steps.append((STEP_REWRITE, "", header.value))
    for header in modifier.add:
        line = header.name.lower() == "set-cookie"
        steps.append((STEP_ADD_LINE if line else STEP_ADD, header.name, header.value))
    steps += [(STEP_REMOVE, name, "") for name in modifier.remove]
    return [step for step in steps if step[0] == STEP_REWRITE or _is_ours(step, response)]


cdef bint _is_ours(tuple step, bint response):
    cdef str name = step[1]
    if name == "" or not TOKEN.issuperset(name) or name.lower().replace("_", "-") in HOP:
        return False
    return response or name.lower() != "host"


cdef int _put_value(Pool *pool, str value, Slice *slice) except -1:
    """A field value without control bytes, which could end the line."""
    cdef char *data
    cdef uint32_t begin = 0
    cdef uint32_t i
    pool_text(pool, value, slice)
    data = <char *> slice.data
    for i in range(slice.size):
        if (<unsigned char> data[i] < 0x20 and data[i] != c"\t") or data[i] == 0x7F:
            data[i] = c" "
    while slice.size and data[slice.size - 1] in (c" ", c"\t"):
        slice.size -= 1
    while begin < slice.size and data[begin] in (c" ", c"\t"):
        begin += 1
    slice.data += begin
    slice.size -= begin
    return 0


cdef int _put_header_step(Pool *pool, Step *step, tuple parts, bint response) except -1:
    cdef str name = parts[1]
    step.type = parts[0]
    step.response = response
    if step.type == STEP_REWRITE:
        return pool_text(pool, parts[2], &step.hostname)
    pool_text(pool, name, &step.name)
    pool_text(pool, name.lower(), &step.lower)
    if step.type == STEP_ADD:
        pool_text(pool, "; " if name.lower() == "cookie" else ",", &step.separator)
    return _put_value(pool, parts[2], &step.value)


cdef int _put_path_step(Pool *pool, Step *step, filter, bint redirect) except -1:
    """Fills in a rewrite or redirect."""
    step.type = STEP_REDIRECT if redirect else STEP_REWRITE
    if filter.hostname and AUTHORITY.issuperset(filter.hostname):
        pool_text(pool, filter.hostname, &step.hostname)
    if filter.full_path is not None:
        step.path_change = PATH_FULL
        pool_text(pool, _safe_path(filter.full_path) or "/", &step.path)
    elif filter.prefix is not None:
        step.path_change = PATH_PREFIX
        pool_text(pool, _safe_path(filter.prefix).rstrip("/"), &step.path)
    if redirect:
        step.status = filter.status
        step.port = filter.port or 0
        pool_text(pool, (filter.scheme or "").lower(), &step.scheme)
    return 0


cdef int _fill(FilterChain *chain, list described, Upstreams upstreams) except -1:
    cdef Step *step
    chain.steps = <Step *> pool_take(&chain.pool, len(described) * sizeof(Step))
    for kind, filter, parts in described:
        step = &chain.steps[chain.count]
        if kind == "Mirror":
            step.type = STEP_MIRROR
            step.numerator, step.denominator = filter.numerator, filter.denominator
            step.backend = upstreams.backend(filter.backend)
            backend_ref(step.backend)
        elif kind == "HeaderModifier":
            _put_header_step(&chain.pool, step, parts, filter.direction == "response")
            chain.changes_responses |= step.response
        elif kind == "Cors":
            step.type = STEP_CORS
            step.cors = cors_new(&chain.pool, filter)
        else:
            _put_path_step(&chain.pool, step, filter, kind == "Redirect")
        chain.count += 1
    return 0


cdef FilterChain *filters_new(tuple filters, Upstreams upstreams) except? NULL:
    cdef FilterChain *chain
    cdef list described = []
    for filter in filters:
        kind = type(filter).__name__
        if kind == "HeaderModifier":
            described += [(kind, filter, parts) for parts in _header_steps(filter)]
        else:
            described.append((kind, filter, None))
    if not described:
        return NULL
    chain = <FilterChain *> calloc(1, sizeof(FilterChain))
    if chain == NULL:
        raise MemoryError
    pool_start(&chain.pool, <uint32_t> (len(described) * (sizeof(Step) + 64)))
    try:
        _fill(chain, described, upstreams)
    except BaseException:
        filters_free(chain)
        raise
    return chain


cdef void filters_free(FilterChain *chain) noexcept nogil:
    cdef uint32_t i
    if chain != NULL:
        for i in range(chain.count):
            if chain.steps[i].backend != NULL:
                backend_unref(chain.steps[i].backend)
        pool_free(&chain.pool)
        free(chain)


cdef inline char _folded(char octet) noexcept nogil:
    return c'-' if octet == c'_' else lower(octet)


cdef bint filters_share(const FilterChain *chain) noexcept nogil:
    cdef uint32_t i
    if chain is NULL:
        return False
    for i in range(chain.count):
        if chain.steps[i].type == STEP_CORS:
            return True
    return False


cdef bint filters_name(const FilterChain *chain, bint response, const char *name, uint32_t size) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i, j
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.lower.size == 0 or step.lower.size != size or step.response != response:
            continue
        for j in range(size):
            if _folded(name[j]) != _folded(step.lower.data[j]):
                break
        else:
            return True
    return False
