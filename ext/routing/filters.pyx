# The effect of the filters of a rule or backendRef on a request or response.
#
# `add` joins the values in one line ("original,added"), as RFC 9110 section 5.3 allows for lists. Exceptions:
# Set-Cookie gets a separate line, and cookies are separated according to RFC 6265 section 4.2.1. A mirror gets the
# request after the filters that are listed before it. Rewrites and redirects follow HTTPPathModifier and
# HTTPRequestRedirectFilter of the Gateway API.

from libc.string cimport memset

from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.authority cimport write_port
from fastroute.ext.message.fieldlist cimport append_field, join_slices, same_name
from fastroute.ext.message.message cimport DROPPED_BY_FILTER, RECEIVED_SECRET, SCHEME_HTTP, SCHEME_HTTPS, Field
from fastroute.ext.message.octet cimport is_text
from fastroute.ext.message.reason cimport REASON_PREFLIGHT, REASON_REDIRECT
from fastroute.ext.message.scratch cimport Scratch, slice_bytes
from fastroute.ext.routing.backends cimport Upstreams
from fastroute.ext.routing.chain cimport (
    PATH_FULL, PATH_KEPT, PATH_PREFIX, STEP_ADD, STEP_CORS, STEP_MIRROR, STEP_REDIRECT, STEP_REMOVE, STEP_REWRITE,
    STEP_SET, FilterChain, Step, filters_free, filters_name, filters_new,
)
from fastroute.ext.routing.copies cimport copies_add
from fastroute.ext.routing.cors cimport (
    PREFLIGHT_FIELDS, Cors, cors_admits, cors_is_preflight, cors_origin, cors_preflight, cors_respond,
)


# --- fields


cdef int _set_field(const Step *step, Message *message, Arena *arena) noexcept nogil:
    """Sets the value of the first line of this name, and drops the others."""
    cdef Field *field
    cdef bint found = False
    cdef uint32_t i
    for i in range(message.fields_count):
        field = &message.fields[i]
        if not field.dropped and same_name(&step.lower, &field.name):
            if found:
                field.dropped = DROPPED_BY_FILTER
            field.value = step.value
            field.received &= RECEIVED_SECRET
            found = True
    return 0 if found or append_field(message, arena, step.name, step.value) != NULL else -1


cdef int _add_field(const Step *step, Message *message, Arena *arena) noexcept nogil:
    """Appends the value to the last line of this name."""
    cdef Slice parts[3]
    cdef Field *field
    cdef uint32_t i = message.fields_count
    while i > 0 and step.type == STEP_ADD:
        i -= 1
        field = &message.fields[i]
        if not field.dropped and same_name(&step.lower, &field.name):
            parts[0], parts[1], parts[2] = field.value, step.separator, step.value
            field.received &= RECEIVED_SECRET
            return join_slices(&field.value, arena, parts, 3)
    return 0 if append_field(message, arena, step.name, step.value) != NULL else -1


cdef void _remove_field(const Step *step, Message *message) noexcept nogil:
    cdef uint32_t i
    for i in range(message.fields_count):
        if not message.fields[i].dropped and same_name(&step.lower, &message.fields[i].name):
            message.fields[i].dropped = DROPPED_BY_FILTER


cdef int _change_field(const Step *step, Message *message, Arena *arena) noexcept nogil:
    if step.type == STEP_SET:
        return _set_field(step, message, arena)
    if step.type == STEP_REMOVE:
        _remove_field(step, message)
        return 0
    return _add_field(step, message, arena)


# --- paths


cdef int _change_path(const Step *step, const Message *message, uint32_t prefix, Arena *arena,
                      Slice *path) noexcept nogil:
    """The path that a rewrite or redirect produces; never empty.

    Neither the prefix nor its replacement has a trailing slash, so the rest begins with a slash or is empty: "/foo" ->
    "/xyz" turns "/foo" into "/xyz" and "/foo/" into "/xyz/"; "/foo" -> "" turns both into "/". If the result would
    begin with "//", which some recipients read as a host, only one of these slashes is kept.
    """
    cdef Slice parts[2]
    path[0] = message.path
    if step.path_change == PATH_FULL:
        path[0] = step.path
    elif step.path_change == PATH_PREFIX:
        prefix = min(prefix, message.path.size)
        parts[0] = step.path
        parts[1].data = message.path.data + prefix
        parts[1].size = message.path.size - prefix
        while step.path.size == 0 and parts[1].size > 1 and parts[1].data[0] == c'/' and parts[1].data[1] == c'/':
            parts[1].data += 1
            parts[1].size -= 1
        if step.path.size == 0 and parts[1].size and parts[1].data[0] != c'/':      # another rewrite came first
            _text(&parts[0], b"/", 1)
        if join_slices(path, arena, parts, 2) < 0:
            return -1
    if path.size == 0:
        path.data = b"/"
        path.size = 1
    return 0


cdef uint16_t _redirect_port(const Step *step, const Slice *scheme, uint16_t listener_port) noexcept nogil:
    """The port in Location; 0: none, because it is the default of the scheme or unknown."""
    cdef uint16_t own = (443 if is_text(scheme.data, scheme.size, b"https", 5)
                         else 80 if is_text(scheme.data, scheme.size, b"http", 4) else 0)
    cdef uint16_t port = step.port
    if port == 0:
        port = own if step.scheme.size or listener_port == 0 else listener_port
    return 0 if port == own else port


cdef void _text(Slice *slice, const char *text, uint32_t size) noexcept nogil:
    slice.data = text
    slice.size = size


cdef Filtered _redirect(const Step *step, const Message *message, uint32_t prefix, uint16_t listener_port, Arena *arena,
                        Answer *answer) noexcept nogil:
    """Fills in `answer`. If neither the request (HTTP/1.0) nor the filter has a host, Location begins with the path."""
    cdef Slice parts[7]
    cdef Slice scheme = step.scheme
    cdef Slice host = step.hostname if step.hostname.size else message.host
    cdef bint secure = message.scheme == SCHEME_HTTPS
    cdef char port[6]
    if scheme.size == 0:
        _text(&scheme, b"https" if secure else b"http", 5 if secure else 4)
    if _change_path(step, message, prefix, arena, &parts[4]) < 0:
        return FILTERED_NO_ROOM
    if parts[4].data[0] != c'/':        # the "*" of OPTIONS
        _text(&parts[4], b"/", 1)
    parts[0], parts[2] = scheme, host
    _text(&parts[1], b"://", 3)
    _text(&parts[3], port, write_port(port, _redirect_port(step, &scheme, listener_port)))
    _text(&parts[5], b"?", 1 if message.has_query else 0)
    _text(&parts[6], message.query.data, message.query.size if message.has_query else 0)
    if host.size == 0:
        _text(&parts[0], b"/.", 2)      # otherwise "//x" would be read as a host (RFC 3986 section 4.2)
        parts[0].size = 2 if parts[4].size > 1 and parts[4].data[1] == c'/' else 0
        parts[1].size = parts[3].size = 0
    answer.status = step.status
    answer.reason = REASON_REDIRECT
    return FILTERED_ANSWERED if join_slices(&answer.location, arena, parts, 7) == 0 else FILTERED_NO_ROOM


# --- applying


cdef Filtered _begin_cors(const Cors *cors, const Message *message, Arena *arena, Answer *answer) noexcept nogil:
    """Notes the origin of the request; answers a preflight."""
    cdef Slice origin = cors_origin(message)
    _text(&answer.origin, origin.data, origin.size if cors_admits(cors, origin) else 0)
    answer.cors = cors
    if not cors_is_preflight(message):
        return FILTERED_ON
    answer.fields = <Field *> arena_take(arena, PREFLIGHT_FIELDS * sizeof(Field))
    if answer.fields == NULL:
        return FILTERED_NO_ROOM
    answer.fields_count = cors_preflight(cors, answer.origin, message, answer.fields)
    answer.status = 204
    answer.reason = REASON_PREFLIGHT
    return FILTERED_ANSWERED


cdef Filtered filter_request(const FilterChain *chain, Message *message, uint32_t prefix, uint16_t listener_port,
                             Arena *arena, Answer *answer) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i
    cdef Filtered outcome
    if chain == NULL:
        return FILTERED_ON
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.response:
            continue
        if step.type == STEP_CORS:
            outcome = _begin_cors(step.cors, message, arena, answer)
            if outcome != FILTERED_ON:
                return outcome
            continue
        if step.type == STEP_REDIRECT:
            return _redirect(step, message, prefix, listener_port, arena, answer)
        if step.type == STEP_MIRROR:
            if answer.copies != NULL:
                copies_add(answer.copies, step.backend, step.numerator, step.denominator, message)
            continue
        if step.type != STEP_REWRITE:
            if _change_field(step, message, arena) < 0:
                return FILTERED_NO_ROOM
            continue
        if step.hostname.size:
            message.authority = step.hostname
        if step.path_change != PATH_KEPT and _change_path(step, message, prefix, arena, &message.path) < 0:
            return FILTERED_NO_ROOM
    return FILTERED_ON


cdef int filter_response(const FilterChain *chain, Slice origin, Message *message, Arena *arena) noexcept nogil:
    cdef const Step *step
    cdef uint32_t i
    if chain == NULL:
        return 0
    for i in range(chain.count):
        step = &chain.steps[i]
        if step.response and _change_field(step, message, arena) < 0:
            return -1
        if step.type == STEP_CORS and cors_respond(step.cors, origin, message, arena) < 0:
            return -1
    return 0


cdef void filter_trailers(const FilterChain *chain, bint response, Message *trailers) noexcept nogil:
    cdef Field *field
    cdef uint32_t i
    if chain == NULL:
        return
    for i in range(trailers.fields_count):
        field = &trailers.fields[i]
        if filters_name(chain, response, field.name.data, field.name.size):
            field.dropped = DROPPED_BY_FILTER


cdef bint filters_change_responses(const FilterChain *chain) noexcept nogil:
    return chain != NULL and chain.changes_responses


cdef int filter_own_response(const FilterChain *chain, Message *message, Arena *arena) noexcept nogil:
    cdef uint32_t i
    for i in range(chain.count):
        if chain.steps[i].response and _change_field(&chain.steps[i], message, arena) < 0:
            return -1
    return 0


# --- for Python


cdef class Filters:
    """The filters of a rule or backendRef of a snapshot, in listed order."""

    cdef FilterChain *_chain

    def __cinit__(self, tuple filters not None):
        self._chain = filters_new(filters, Upstreams())

    def __dealloc__(self):
        filters_free(self._chain)

    def request(self, fields=(), *, str method="GET", str path="/", query=None, str host="", uint32_t prefix=0,
                uint16_t port=80, bint tls=False, uint32_t arena=65536):
        """(fields, path, authority, answer) of a request; `answer` is (status, Location or fields) or None. `prefix`:
        bytes of the path that the matched PathPrefix covers; `port`: of the listener. MemoryError: the arena is full.
        """
        cdef Scratch scratch = Scratch(arena)
        cdef Answer answer
        cdef Filtered done
        memset(&answer, 0, sizeof(Answer))
        scratch.request(method, path, query, host, fields)
        scratch.message.scheme = SCHEME_HTTPS if tls else SCHEME_HTTP
        done = filter_request(self._chain, &scratch.message, prefix, port, &scratch.arena, &answer)
        if done == FILTERED_NO_ROOM:
            raise MemoryError
        path = slice_bytes(&scratch.message.path).decode()
        authority = slice_bytes(&scratch.message.authority).decode()
        return scratch.fields(), path, authority, _answered(&answer) if done == FILTERED_ANSWERED else None

    def response(self, fields=(), *, str origin="", uint32_t arena=65536):
        """The fields of a response to a request from `origin`, which is allowed. MemoryError: the arena is full."""
        cdef Scratch scratch = Scratch(arena)
        scratch.fill(fields)
        if filter_response(self._chain, scratch.keep(origin), &scratch.message, &scratch.arena) < 0:
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
