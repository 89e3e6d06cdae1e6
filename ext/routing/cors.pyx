# The CORS protocol for one filter; see cors.pxd.
#
# With credentials, browsers do not accept "*" (Fetch, "CORS protocol and credentials"). So the response names the
# origin, method and header names of the request instead, and the names of all its own fields. If the response depends
# on the origin, it contains `Vary: Origin`, also for requests without an origin: caches must not use the response for
# one origin to answer another.

from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.memory.pool cimport pool_take, pool_text
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldlist cimport append_field, same_name
from fastroute.ext.message.items cimport lists, next_item
from fastroute.ext.message.octet cimport OCTET_HOST, is_text, lower, run_over

cdef struct Origin:             # before and after "*"; without "*", `before` is the whole origin
    Slice before
    Slice after
    uint8_t wild

cdef struct Cors:
    Origin *origins
    uint32_t count
    uint8_t every               # every origin is allowed
    uint8_t credentials
    Slice methods               # as a field value; empty: not sent; "*"
    Slice headers
    Slice expose
    Slice max_age

cdef const char *PREFIX = b"access-control-"


cdef Slice word(const char *text, uint32_t size) noexcept nogil:
    cdef Slice slice
    slice.data = text
    slice.size = size
    return slice


# --- creation


cdef int _put_origin(Pool *pool, Origin *origin, str text) except -1:
    before, star, after = text.partition("*")
    origin.wild = star != ""
    pool_text(pool, before, &origin.before)
    return pool_text(pool, after, &origin.after)


cdef Cors *cors_new(Pool *pool, source) except NULL:
    cdef Cors *cors = <Cors *> pool_take(pool, sizeof(Cors))
    cdef uint32_t room = <uint32_t> (max(len(source.origins), 1) * sizeof(Origin))
    cors.origins = <Origin *> pool_take(pool, room)
    for origin in source.origins:
        if origin == "*":
            cors.every = True
        else:
            _put_origin(pool, &cors.origins[cors.count], origin)
            cors.count += 1
    cors.credentials = source.credentials
    pool_text(pool, ", ".join(source.methods), &cors.methods)
    pool_text(pool, ", ".join(source.headers), &cors.headers)
    pool_text(pool, ", ".join(source.expose), &cors.expose)
    pool_text(pool, str(source.max_age), &cors.max_age)
    return cors


# --- origins


cdef bint _same_text(Slice known, const char *text) noexcept nogil:
    """Whether `text`, which has the size of `known`, equals it without regard to case."""
    cdef uint32_t i
    for i in range(known.size):
        if lower(text[i]) != known.data[i]:
            return False
    return True


cdef bint _is_of(const Origin *origin, Slice given) noexcept nogil:
    """A wildcard matches one or more labels of a host, including dots, but nothing that ends a host."""
    cdef const char *end = given.data + given.size - origin.after.size
    if not origin.wild:
        return given.size == origin.before.size and _same_text(origin.before, given.data)
    if given.size <= origin.before.size + origin.after.size:
        return False
    if not _same_text(origin.before, given.data) or not _same_text(origin.after, end):
        return False
    return run_over(given.data + origin.before.size, end, OCTET_HOST) == end


cdef bint cors_admits(const Cors *cors, Slice origin) noexcept nogil:
    cdef uint32_t i
    if origin.size == 0:
        return False
    if cors.every:
        return True
    for i in range(cors.count):
        if _is_of(&cors.origins[i], origin):
            return True
    return False


# --- requests


cdef Slice _value(const Message *message, const char *name, uint32_t size) noexcept nogil:
    """The value of the first field with this name (in lower case) that is forwarded; empty if there is none."""
    cdef Slice wanted = word(name, size)
    cdef uint32_t i
    for i in range(message.fields_count):
        if not message.fields[i].dropped and same_name(&wanted, &message.fields[i].name):
            return message.fields[i].value
    return word(NULL, 0)


cdef Slice cors_origin(const Message *message) noexcept nogil:
    return _value(message, b"origin", 6)


cdef bint cors_is_preflight(const Message *message) noexcept nogil:
    return (message.method.size == 7 and memcmp(message.method.data, b"OPTIONS", 7) == 0
            and cors_origin(message).size != 0 and _value(message, b"access-control-request-method", 29).size != 0)


cdef bint cors_asks_for_call(const Message *message) noexcept nogil:
    cdef Slice method
    if not cors_is_preflight(message):
        return False
    method = _value(message, b"access-control-request-method", 29)
    return (method.size == 4 and memcmp(method.data, b"POST", 4) == 0
            and lists(_value(message, b"access-control-request-headers", 30), b"x-grpc-web", 10))


# --- fields


cdef uint32_t _put(Field *fields, uint32_t count, Slice name, Slice value) noexcept nogil:
    """Adds a field at index `count` unless its value is empty; returns the new number of fields."""
    if value.size == 0:
        return count
    memset(&fields[count], 0, sizeof(Field))
    fields[count].name = name
    fields[count].value = value
    return count + 1


cdef bint _is_star(Slice value) noexcept nogil:
    return value.size == 1 and value.data[0] == c'*'


cdef Slice _sayable(const Cors *cors, Slice configured, Slice otherwise) noexcept nogil:
    """A list as configured; what the client requested instead of "*" where credentials forbid it."""
    return otherwise if cors.credentials and _is_star(configured) else configured


cdef bint _says_the_same_to_all(const Cors *cors) noexcept nogil:
    return cors.every and not cors.credentials


cdef uint32_t cors_fields(const Cors *cors, Slice origin, Field *fields) noexcept nogil:
    cdef Slice nothing = word(NULL, 0)
    cdef bint same = _says_the_same_to_all(cors)
    cdef uint32_t count = 0
    if same or origin.size:
        count = _put(fields, count, word(b"Access-Control-Allow-Origin", 27), word(b"*", 1) if same else origin)
        if cors.credentials:
            count = _put(fields, count, word(b"Access-Control-Allow-Credentials", 32), word(b"true", 4))
        count = _put(
            fields, count, word(b"Access-Control-Expose-Headers", 29), _sayable(cors, cors.expose, nothing)
        )
    if not same:
        count = _put(fields, count, word(b"Vary", 4), word(b"Origin", 6))
    return count


cdef uint32_t cors_preflight(const Cors *cors, Slice origin, const Message *message, Field *fields) noexcept nogil:
    cdef uint32_t count = cors_fields(cors, origin, fields)
    cdef Slice method = _value(message, b"access-control-request-method", 29)
    cdef Slice names = _value(message, b"access-control-request-headers", 30)
    if origin.size == 0:
        return count
    count = _put(fields, count, word(b"Access-Control-Allow-Methods", 28), _sayable(cors, cors.methods, method))
    count = _put(fields, count, word(b"Access-Control-Allow-Headers", 28), _sayable(cors, cors.headers, names))
    return _put(fields, count, word(b"Access-Control-Max-Age", 22), cors.max_age)


# --- responses


cdef bint _is_theirs(Slice name) noexcept nogil:
    return name.size > 15 and is_text(name.data, 15, PREFIX, 15)


cdef bint _varies(const Message *message) noexcept nogil:
    """Whether the response already says that it depends on the origin."""
    cdef Slice vary = word(b"vary", 4)
    cdef Slice rest, item
    cdef uint32_t i
    for i in range(message.fields_count):
        if message.fields[i].dropped or not same_name(&vary, &message.fields[i].name):
            continue
        rest = message.fields[i].value
        while next_item(&rest, &item):
            if _is_star(item) or is_text(item.data, item.size, b"origin", 6):
                return True
    return False


cdef int _expose_all(Message *message, Arena *arena) noexcept nogil:
    """Lists the names of all fields of the response, which is what "*" means without credentials."""
    cdef uint32_t i
    cdef uint32_t size = 0
    cdef Slice names
    cdef char *text
    cdef char *at
    for i in range(message.fields_count):
        size += message.fields[i].name.size + 2
    text = at = <char *> arena_take(arena, size)
    if text == NULL:
        return -1
    for i in range(message.fields_count):
        if message.fields[i].dropped or _is_theirs(message.fields[i].name):
            continue
        if at != text:
            at[0] = c','
            at[1] = c' '
            at += 2
        memcpy(at, message.fields[i].name.data, message.fields[i].name.size)
        at += message.fields[i].name.size
    if at == text:
        return 0
    names = word(text, <uint32_t> (at - text))
    return 0 if append_field(message, arena, word(b"Access-Control-Expose-Headers", 29), names) != NULL else -1


cdef int cors_respond(const Cors *cors, Slice origin, Message *message, Arena *arena) noexcept nogil:
    cdef Field fields[CORS_FIELDS]
    cdef uint32_t count = cors_fields(cors, origin, fields)
    cdef uint32_t i
    for i in range(message.fields_count):
        if _is_theirs(message.fields[i].name):
            message.fields[i].dropped = 1
    if origin.size and cors.credentials and _is_star(cors.expose) and _expose_all(message, arena) < 0:
        return -1
    for i in range(count):
        if fields[i].name.size == 4 and _varies(message):      # Vary: no other of these names has 4 bytes
            continue
        if append_field(message, arena, fields[i].name, fields[i].value) == NULL:
            return -1
    return 0
