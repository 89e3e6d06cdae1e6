"""A few hostnames, path elements, names and values, so that rules often overlap, shadow each other and fall through to
each other, as those of tests/snapshots.py do; sometimes texts from the input. Ranks are distinct.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from fastroute.ext.memory.graveyard cimport Grave
from fastroute.ext.message.message cimport METHOD_POST
from fastroute.ext.message.octet cimport lower
from fastroute.ext.routing.regex cimport pattern_beginning, pattern_new
from fastroute.ext.routing.rule cimport BEGINNING_MOST, PATH_EXACT, PATH_PREFIX, PATH_REGEX

from fuzz.input cimport choice, text

cdef enum:
    HOSTS = 9
    HOSTNAMES = 8
    ELEMENTS = 5
    METHODS = 3
    NAMES = 4
    VALUES = 5
    QUERIES = 6
    PATTERNS = 8
    PATH_TYPES = 4
    TYPES = 6
    CALL_TYPES = 4              # of these

cdef uint8_t[PATH_TYPES] path_types = [PATH_EXACT, PATH_PREFIX, PATH_PREFIX, PATH_REGEX]
cdef Slice[HOSTS] hosts = [
    Slice(b"example.com", 11), Slice(b"a.example.com", 13), Slice(b"b.a.example.com", 15), Slice(b"com", 3),
    Slice(b"x.org", 5), Slice(b"127.0.0.1", 9), Slice(b"[::1]", 5), Slice(b".example.com", 12), Slice(b"", 0),
]
cdef Slice[HOSTNAMES] hostnames = [
    Slice(b"", 0), Slice(b"*.com", 5), Slice(b"*.example.com", 13), Slice(b"*.a.example.com", 15),
    Slice(b"example.com", 11), Slice(b"a.example.com", 13), Slice(b"x.org", 5), Slice(b"*.0.0.1", 7),
]
cdef Slice[ELEMENTS] elements = [Slice(b"a", 1), Slice(b"b", 1), Slice(b"ab", 2), Slice(b"", 0), Slice(b"%2F", 3)]
cdef Slice[METHODS] methods = [Slice(b"GET", 3), Slice(b"POST", 4), Slice(b"PURGE", 5)]
cdef Slice[NAMES] names = [Slice(b"x-one", 5), Slice(b"x-two", 5), Slice(b"one", 3), Slice(b"a.b", 3)]
cdef Slice[NAMES] spellings = [Slice(b"X-One", 5), Slice(b"x-two", 5), Slice(b"ONE", 3), Slice(b"a.b", 3)]
cdef Slice[VALUES] values = [Slice(b"1", 1), Slice(b"2", 1), Slice(b"1,2", 3), Slice(b"", 0), Slice(b"x y", 3)]
cdef Slice[QUERIES] queries = [
    Slice(b"", 0), Slice(b"one=1", 5), Slice(b"one=2&one=1", 11), Slice(b"x-one=1&a.b", 11), Slice(b"&&=&one", 7),
    Slice(b"a.b=1=2&x-two=", 14),
]
cdef Slice[TYPES] types = [
    Slice(b"application/grpc", 16), Slice(b"application/grpc+proto", 22), Slice(b"Application/gRPC-Web", 20),
    Slice(b"application/grpc-web-text;a=b", 29), Slice(b"application/grpcx", 17), Slice(b"application/grpc-web-", 21),
]
SOURCES = (b"/a.*", b"/ab/.*", b"/a/.*b", b"/[ab]+(/b)?", b"/a|/b", b".*", b"1|2", b"[0-9,]*")

cdef Pattern *patterns[PATTERNS]        # never freed
cdef char beginnings[PATTERNS][BEGINNING_MOST]
cdef uint32_t beginning_sizes[PATTERNS]


def _compile():
    cdef int i
    for i in range(PATTERNS):
        patterns[i] = pattern_new(SOURCES[i], <uint32_t> len(SOURCES[i]))
        beginning_sizes[i] = pattern_beginning(patterns[i], beginnings[i], BEGINNING_MOST)


_compile()


cdef bint keep_rule(Grave *grave) noexcept nogil:
    """A rule is a part of the world: there is nothing to free."""
    return True


cdef Slice lower_text(World *world, Slice given) noexcept nogil:
    """The names of headers of rules, and all hostnames, are in lower case."""
    cdef Slice made = Slice(&world.room[world.used], min(given.size, ROOM - world.used))
    cdef uint32_t i
    for i in range(made.size):
        world.room[world.used + i] = lower(given.data[i])
    world.used += made.size
    return made


cdef Slice path(World *world, Input *input, bint prefix) noexcept nogil:
    """Up to three elements. A prefix has no final slash: that of every path is empty."""
    cdef uint32_t start = world.used
    cdef uint8_t count = choice(input, 4)
    cdef Slice element
    for _ in range(count if prefix else count + 1):
        element = text(input, elements, ELEMENTS)
        if world.used + element.size + 1 > ROOM:
            break
        world.room[world.used] = c"/"
        memcpy(world.room + world.used + 1, element.data, element.size)
        world.used += element.size + 1
    while prefix and world.used > start and world.room[world.used - 1] == c"/":
        world.used -= 1
    return Slice(&world.room[start], world.used - start)


cdef uint32_t read_tests(World *world, Input *input, ValueTest *tests, bint query) noexcept nogil:
    """Names are unique within a match."""
    cdef uint32_t count = choice(input, TESTS_MOST + 1)
    cdef uint8_t first = choice(input, NAMES)
    cdef uint32_t i
    for i in range(count):
        memset(&tests[i], 0, sizeof(ValueTest))
        tests[i].name = names[(first + i) % NAMES]
        tests[i].value = text(input, values, VALUES)
        if choice(input, 4) == 0:
            tests[i].pattern = patterns[choice(input, PATTERNS)]
    return count


cdef void read_match(World *world, Input *input, uint32_t at, uint32_t index) noexcept nogil:
    cdef Match *match = &world.matches[at][index]
    cdef char *rank = world.ranks[at][index]
    cdef uint8_t pattern
    memset(match, 0, sizeof(Match))
    match.rule = &world.rules[at]
    match.index = index
    match.path_type = path_types[choice(input, PATH_TYPES)]
    if match.path_type == PATH_REGEX:
        pattern = choice(input, PATTERNS)
        match.pattern = patterns[pattern]
        match.beginning = Slice(&beginnings[pattern][0], beginning_sizes[pattern])
    else:
        match.path = path(world, input, match.path_type == PATH_PREFIX)
    if choice(input, 3) == 0:
        match.method = methods[choice(input, METHODS)]
    match.headers = world.tests[at][index][0]
    match.headers_count = read_tests(world, input, match.headers, False)
    match.query = world.tests[at][index][1]
    match.query_count = read_tests(world, input, match.query, True)
    rank[0] = choice(input, 4)
    rank[1] = at * MATCHES_MOST + index
    match.rank = Slice(rank, 2)


cdef void read_rule(World *world, Input *input, uint32_t at) noexcept nogil:
    cdef Rule *rule = &world.rules[at]
    cdef uint32_t i
    memset(rule, 0, sizeof(Rule))
    rule.grave.refs = 1
    rule.grave.dismantle = keep_rule
    world.homes[at] = choice(input, world.listeners_count)
    world.hostnames[at] = lower_text(world, text(input, hostnames, HOSTNAMES))
    rule.matches = world.matches[at]
    rule.matches_count = choice(input, MATCHES_MOST + 1)
    for i in range(rule.matches_count):
        read_match(world, input, at, i)


cdef void read_request(World *world, Input *input) noexcept nogil:
    cdef Message *message = &world.message
    cdef uint32_t i
    memset(message, 0, sizeof(Message))
    world.socket = choice(input, SOCKETS)
    message.method = text(input, methods, METHODS)
    message.host = lower_text(world, text(input, hosts, HOSTS))
    message.authority = message.host
    message.path = path(world, input, False)
    message.query = text(input, queries, QUERIES)
    message.has_query = message.query.size > 0
    message.fields = world.fields
    message.fields_room = FIELDS_MOST
    message.fields_count = choice(input, FIELDS_READ + 1)
    for i in range(message.fields_count):
        memset(&world.fields[i], 0, sizeof(Field))
        world.fields[i].name = text(input, spellings, NAMES)
        world.fields[i].value = text(input, values, VALUES)


cdef void add_field(World *world, Slice name, Slice value) noexcept nogil:
    cdef Field *field = &world.fields[world.message.fields_count]
    memset(field, 0, sizeof(Field))
    field.name = name
    field.value = value
    world.message.fields_count += 1


cdef void make_rule_for_calls(World *world, Input *input, uint32_t at) noexcept nogil:
    """Methods are then those of gRPC."""
    cdef uint32_t i
    world.rules[at].calls = True
    for i in range(world.rules[at].matches_count):
        if world.matches[at][i].method.size:
            world.matches[at][i].method = elements[choice(input, 3)]


cdef void read_calls(World *world, Input *input) noexcept nogil:
    """Makes some rules rules for calls, and the request a call, a preflight before one, or neither. Comes last, so that
    older inputs keep their meaning."""
    cdef uint8_t kind = choice(input, 3)
    cdef uint8_t chosen
    cdef uint32_t i
    world.calls = False
    for i in range(world.rules_count):
        if choice(input, 2) == 1:
            make_rule_for_calls(world, input, i)
    if kind == 1:
        chosen = choice(input, TYPES)
        world.calls = chosen < CALL_TYPES
        world.message.method = Slice(b"POST", 4)
        world.message.method_name = METHOD_POST
        add_field(world, Slice(b"Content-Type", 12), types[chosen])
    elif kind == 2:
        world.message.method = Slice(b"OPTIONS", 7)
        add_field(world, Slice(b"origin", 6), Slice(b"https://a", 9))
        add_field(world, Slice(b"access-control-request-method", 29), Slice(b"POST", 4))
        add_field(world, Slice(b"access-control-request-headers", 30), Slice(b"a, X-Grpc-Web", 13))


cdef void world_read(World *world, Input *input) noexcept nogil:
    cdef uint32_t i
    world.used = 0
    world.listeners_count = 1 + choice(input, LISTENERS_MOST)
    for i in range(world.listeners_count):
        world.listeners[i].socket = choice(input, SOCKETS)
        world.listeners[i].hostname = lower_text(world, text(input, hostnames, HOSTNAMES))
    world.rules_count = choice(input, RULES_MOST + 1)
    for i in range(world.rules_count):
        read_rule(world, input, i)
    read_request(world, input)
    read_calls(world, input)
