# What a rule or a backendRef does to a request or response.
#
# A chain is a flat list of steps in listed order, made once and applied to every head. The control plane has checked
# the values; what could still break a message's framing is made harmless here: control bytes in field values become
# spaces, bytes that no path has are percent-encoded, and fields that decide about framing or the connection (HOP) are
# not touched, because the engine writes them itself. To set Host is to rewrite the authority; Host cannot be added to
# or removed. `add` makes one line of the values ("original,added"), as RFC 9110 section 5.3 allows for lists; but
# Set-Cookie gets a line of its own, and cookies are separated as RFC 6265 section 4.2.1 says.
# A mirror gets the request as the filters listed before it left it.
# Rewrites and redirects follow HTTPPathModifier and HTTPRequestRedirectFilter of the Gateway API.

from libc.stdlib cimport calloc, free
from libc.stdint cimport uint8_t
from libc.string cimport memset

from fastroute.ext.backends cimport Backend, Upstreams, backend_ref, backend_unref
from fastroute.ext.copies cimport copies_add
from fastroute.ext.cors cimport (
    PREFLIGHT_FIELDS, Cors, cors_admits, cors_is_preflight, cors_new, cors_origin, cors_preflight, cors_respond,
)
from fastroute.ext.fieldlist cimport append_field, join_slices, same_name
from fastroute.ext.head cimport Field
from fastroute.ext.octet cimport is_text
from fastroute.ext.pool cimport Pool, pool_free, pool_start, pool_take, pool_text
from fastroute.ext.reason cimport REASON_PREFLIGHT, REASON_REDIRECT
from fastroute.ext.scratch cimport Scratch, slice_bytes
from fastroute.ext.write cimport write_port
from fastroute.ext.slice cimport arena_take

cdef enum StepType:
    STEP_SET = 0
    STEP_ADD
    STEP_ADD_LINE               # as a line of its own
    STEP_REMOVE
    STEP_REWRITE
    STEP_REDIRECT
    STEP_CORS
    STEP_MIRROR

cdef enum PathChange:
    PATH_KEPT = 0
    PATH_FULL
    PATH_PREFIX

cdef struct Step:
    uint8_t type                # StepType
    uint8_t response            # of a header step: it changes responses
    Cors *cors                  # of STEP_CORS; in the chain's pool
    uint8_t path_change         # PathChange
    uint16_t status             # of a redirect
    uint16_t port               # of a redirect; 0: not given
    Backend *backend            # of a mirror; counted
    uint32_t numerator          # of a mirror: its share of the requests
    uint32_t denominator
    Slice name                  # of a header step, as written
    Slice lower                 # the same in lower case
    Slice value                 # of a header step
    Slice separator             # of STEP_ADD
    Slice scheme                # of a redirect; empty: the request's
    Slice hostname              # of a rewrite or redirect; empty: the request's
    Slice path                  # full, or what replaces the prefix (then without final slashes)

cdef struct FilterChain:
    Pool pool
    Step *steps
    uint32_t count
    bint changes_responses      # some step is a header step for responses

cdef frozenset HOP = frozenset({
    "connection", "content-length", "expect", "http2-settings", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
cdef frozenset TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
cdef frozenset PATH = frozenset(b"-._~!$&'()*+,;=:@/%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
cdef frozenset AUTHORITY = frozenset("-._:[]0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


# --- making a chain: lists of plain descriptions first, then memory


cdef str _safe_value(str value):
    """A field value without bytes that would end the line."""
    return "".join([" " if (ord(c) < 0x20 and c != "\t") or c == "\x7f" else c for c in value]).strip(" \t")


cdef str _safe_path(str path):
    """A path with only the bytes that a request line may have."""
    return "".join([chr(byte) if byte in PATH else f"%{byte:02X}" for byte in path.encode()])


cdef list _header_steps(modifier):
    """(type, name, value) of a header modifier; at most one action has a name, so their order is of no account."""
    response = modifier.direction == "response"
    steps = []
    for header in modifier.set:
        if header.name.lower() != "host" or response:
            steps.append((STEP_SET, header.name, _safe_value(header.value)))
        elif header.value and AUTHORITY.issuperset(header.value):
            steps.append((STEP_REWRITE, "", header.value))
    for header in modifier.add:
        line = header.name.lower() == "set-cookie"
        steps.append((STEP_ADD_LINE if line else STEP_ADD, header.name, _safe_value(header.value)))
    steps += [(STEP_REMOVE, name, "") for name in modifier.remove]
    return [step for step in steps if step[0] == STEP_REWRITE or _is_ours(step, response)]


cdef bint _is_ours(tuple step, bint response):
    cdef str name = step[1]
    return name != "" and TOKEN.issuperset(name) and name.lower() not in HOP and (response or name.lower() != "host")


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
    return pool_text(pool, parts[2], &step.value)


cdef int _put_path_step(Pool *pool, Step *step, filter, bint redirect) except -1:
    """A rewrite or redirect."""
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


# --- fields


cdef int _set_field(const Step *step, Head *head, Arena *arena) noexcept nogil:
    """The first line of this name gets the value, the others go."""
    cdef Field *field
    cdef bint found = False
    cdef uint32_t i
    for i in range(head.fields_count):
        field = &head.fields[i]
        if not field.dropped and same_name(&step.lower, &field.name):
            if found:
                field.dropped = 1
            field.value = step.value
            field.received = 0
            found = True
    return 0 if found or append_field(head, arena, step.name, step.value) != NULL else -1


cdef int _add_field(const Step *step, Head *head, Arena *arena) noexcept nogil:
    """The last line of this name gets the value at its end."""
    cdef Slice parts[3]
    cdef Field *field
    cdef uint32_t i = head.fields_count
    while i > 0 and step.type == STEP_ADD:
        i -= 1
        field = &head.fields[i]
        if not field.dropped and same_name(&step.lower, &field.name):
            parts[0], parts[1], parts[2] = field.value, step.separator, step.value
            field.received = 0
            return join_slices(&field.value, arena, parts, 3)
    return 0 if append_field(head, arena, step.name, step.value) != NULL else -1


cdef void _remove_field(const Step *step, Head *head) noexcept nogil:
    cdef uint32_t i
    for i in range(head.fields_count):
        if same_name(&step.lower, &head.fields[i].name):
            head.fields[i].dropped = 1


cdef int _change_field(const Step *step, Head *head, Arena *arena) noexcept nogil:
    if step.type == STEP_SET:
        return _set_field(step, head, arena)
    if step.type == STEP_REMOVE:
        _remove_field(step, head)
        return 0
    return _add_field(step, head, arena)


# --- paths


cdef int _change_path(const Step *step, const Head *head, uint32_t prefix, Arena *arena, Slice *path) noexcept nogil:
    """The path that a rewrite or redirect makes; never empty.

    Neither the prefix nor what replaces it has a final slash, so the rest begins with one or is empty: "/foo" -> "/xyz"
    makes "/xyz" of "/foo", "/xyz/" of "/foo/"; "/foo" -> "" makes "/" of both. What begins with "//" some would read
    as a host: it loses its slashes but one.
    """
    cdef Slice parts[2]
    path[0] = head.path
    if step.path_change == PATH_FULL:
        path[0] = step.path
    elif step.path_change == PATH_PREFIX:
        prefix = min(prefix, head.path.size)
        parts[0] = step.path
        parts[1].data = head.path.data + prefix
        parts[1].size = head.path.size - prefix
        while step.path.size == 0 and parts[1].size > 1 and parts[1].data[1] == c'/':
            parts[1].data += 1
            parts[1].size -= 1
        if step.path.size == 0 and parts[1].size and parts[1].data[0] != c'/':      # another rewrite came before
            _text(&parts[0], b"/", 1)
        if join_slices(path, arena, parts, 2) < 0:
            return -1
    if path.size == 0:
        path.data = b"/"
        path.size = 1
    return 0


cdef uint16_t _redirect_port(const Step *step, const Slice *scheme, uint16_t listener_port) noexcept nogil:
    """The port that Location names; 0: none, for it is the scheme's own or unknown."""
    cdef uint16_t own = (443 if is_text(scheme.data, scheme.size, b"https", 5)
                         else 80 if is_text(scheme.data, scheme.size, b"http", 4) else 0)
    cdef uint16_t port = step.port
    if port == 0:
        port = own if step.scheme.size or listener_port == 0 else listener_port
    return 0 if port == own else port


cdef void _text(Slice *slice, const char *text, uint32_t size) noexcept nogil:
    slice.data = text
    slice.size = size


cdef int _redirect(const Step *step, const Head *head, uint32_t prefix, uint16_t listener_port, bint tls, Arena *arena,
                   Answer *answer) noexcept nogil:
    """Fills in `answer`. Without a host, of request (HTTP/1.0) or filter, Location begins with the path."""
    cdef Slice parts[7]
    cdef Slice scheme = step.scheme
    cdef Slice host = step.hostname if step.hostname.size else head.host
    cdef char port[6]
    if scheme.size == 0:
        _text(&scheme, b"https" if tls else b"http", 5 if tls else 4)
    if _change_path(step, head, prefix, arena, &parts[4]) < 0:
        return -1
    if parts[4].data[0] != c'/':        # the "*" of OPTIONS
        _text(&parts[4], b"/", 1)
    parts[0], parts[2] = scheme, host
    _text(&parts[1], b"://", 3)
    _text(&parts[3], port, write_port(port, _redirect_port(step, &scheme, listener_port)))
    _text(&parts[5], b"?", 1 if head.has_query else 0)
    _text(&parts[6], head.query.data, head.query.size if head.has_query else 0)
    if host.size == 0:
        _text(&parts[0], b"/.", 2)      # or "//x" would be read as a host (RFC 3986 section 4.2)
        parts[0].size = 2 if parts[4].size > 1 and parts[4].data[1] == c'/' else 0
        parts[1].size = parts[3].size = 0
    answer.status = step.status
    answer.reason = REASON_REDIRECT
    return 1 if join_slices(&answer.location, arena, parts, 7) == 0 else -1


# --- applying


cdef int _begin_cors(const Cors *cors, const Head *head, Arena *arena, Answer *answer) noexcept nogil:
    """Notes from where the request comes; answers a preflight."""
    cdef Slice origin = cors_origin(head)
    _text(&answer.origin, origin.data, origin.size if cors_admits(cors, origin) else 0)
    answer.cors = cors
    if not cors_is_preflight(head):
        return 0
    answer.fields = <Field *> arena_take(arena, PREFLIGHT_FIELDS * sizeof(Field))
    if answer.fields == NULL:
        return -1
    answer.fields_count = cors_preflight(cors, answer.origin, head, answer.fields)
    answer.status = 204
    answer.reason = REASON_PREFLIGHT
    return 1


cdef int filter_request(const FilterChain *chain, Head *head, uint32_t prefix, uint16_t listener_port, bint tls,
                        Arena *arena, Answer *answer) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i
    cdef int outcome
    if chain == NULL:
        return 0
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.response:
            continue
        if step.type == STEP_CORS:
            outcome = _begin_cors(step.cors, head, arena, answer)
            if outcome:
                return outcome
            continue
        if step.type == STEP_REDIRECT:
            return _redirect(step, head, prefix, listener_port, tls, arena, answer)
        if step.type == STEP_MIRROR:
            if answer.copies != NULL:
                copies_add(answer.copies, step.backend, step.numerator, step.denominator, head)
            continue
        if step.type != STEP_REWRITE:
            if _change_field(step, head, arena) < 0:
                return -1
            continue
        if step.hostname.size:
            head.authority = step.hostname
        if step.path_change != PATH_KEPT and _change_path(step, head, prefix, arena, &head.path) < 0:
            return -1
    return 0


cdef int filter_response(const FilterChain *chain, Slice origin, Head *head, Arena *arena) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i
    if chain == NULL:
        return 0
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.response and _change_field(step, head, arena) < 0:
            return -1
        if step.type == STEP_CORS and cors_respond(step.cors, origin, head, arena) < 0:
            return -1
    return 0


cdef inline char _folded(char octet) noexcept nogil:
    return c'-' if octet == c'_' else lower(octet)


cdef bint filters_name(const FilterChain *chain, bint response, const char *name, uint32_t size) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i, j
    if chain == NULL:
        return False
    size = min(size, <uint32_t> FILTERED_NAME_MOST)
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.lower.size == 0 or step.response != response:
            continue
        if min(step.lower.size, <uint32_t> FILTERED_NAME_MOST) != size:
            continue
        for j in range(size):
            if _folded(name[j]) != _folded(step.lower.data[j]):
                break
        else:
            return True
    return False


cdef bint filters_change_responses(const FilterChain *chain) noexcept nogil:
    return chain != NULL and chain.changes_responses


cdef int filter_own_response(const FilterChain *chain, Head *head, Arena *arena) noexcept nogil:
    cdef uint32_t i
    for i in range(chain.count):
        if chain.steps[i].response and _change_field(&chain.steps[i], head, arena) < 0:
            return -1
    return 0


# --- for Python


cdef class Filters:
    """The filters of a snapshot's rule or backendRef, in listed order."""

    cdef FilterChain *_chain

    def __cinit__(self, tuple filters not None):
        self._chain = filters_new(filters, Upstreams())

    def __dealloc__(self):
        filters_free(self._chain)

    def request(self, fields=(), *, str method="GET", str path="/", query=None, str host="", uint32_t prefix=0,
                uint16_t port=80, bint tls=False, uint32_t arena=65536):
        """(fields, path, authority, answer) of a request; `answer` is (status, Location or fields) or None. `prefix`:
        bytes of the path that the matched PathPrefix covers; `port`: the listener's. MemoryError when the arena is
        full.
        """
        cdef Scratch scratch = Scratch(arena)
        cdef Answer answer
        cdef int done
        memset(&answer, 0, sizeof(Answer))
        scratch.request(method, path, query, host, fields)
        done = filter_request(self._chain, &scratch.head, prefix, port, tls, &scratch.arena, &answer)
        if done < 0:
            raise MemoryError
        authority = slice_bytes(&scratch.head.authority).decode()
        return scratch.fields(), slice_bytes(&scratch.head.path).decode(), authority, _answered(&answer) if done else None

    def response(self, fields=(), *, str origin="", uint32_t arena=65536):
        """The fields of a response to a request from `origin`, an admitted one. MemoryError when the arena is full."""
        cdef Scratch scratch = Scratch(arena)
        scratch.fill(fields)
        if filter_response(self._chain, scratch.keep(origin), &scratch.head, &scratch.arena) < 0:
            raise MemoryError
        return scratch.fields()


cdef tuple _answered(const Answer *answer):
    cdef uint32_t i
    if answer.reason == REASON_REDIRECT:
        return answer.status, slice_bytes(&answer.location).decode()
    return answer.status, [
        (slice_bytes(&answer.fields[i].name).decode(), slice_bytes(&answer.fields[i].value).decode("latin-1"))
        for i in range(answer.fields_count)
    ]
