"""The order of the specification: the most specific hostname, then exact paths, longer prefixes, expressions; then the
rank. A call of gRPC is matched with the rules for calls first. No rule has filters, so none answers preflights.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp

from fastroute.ext.memory.slice cimport Slice, slices_equal
from fastroute.ext.message.message cimport Message
from fastroute.ext.message.octet cimport lower
from fastroute.ext.routing.regex cimport pattern_matches
from fastroute.ext.routing.rule cimport PATH_EXACT, PATH_PREFIX, ValueTest

cdef enum:
    EXACT = 1000000             # more than any wildcard or prefix
    TEXT_MOST = 512             # bytes of the joined values of a header


cdef uint32_t specificity(const Slice *hostname, const Slice *host) noexcept nogil:
    """0: the hostname does not cover the host."""
    cdef uint32_t size
    if hostname.size == 0:
        return 1
    if hostname.size < 2 or hostname.data[0] != c"*" or hostname.data[1] != c".":
        return EXACT if slices_equal(hostname, host) else 0
    size = hostname.size - 1            # ".example.com"
    if host.size <= size or memcmp(host.data + host.size - size, hostname.data + 1, size) != 0:
        return 0
    return 1 + hostname.size


cdef uint32_t path_fits(const Match *match, const Slice *path) noexcept nogil:
    """How good the match of the path is; 0: it does not match."""
    if match.path_type == PATH_EXACT:
        return EXACT if slices_equal(&match.path, path) else 0
    if match.path_type != PATH_PREFIX:
        return 1 if pattern_matches(match.pattern, path.data, path.size) else 0
    if path.size < match.path.size or memcmp(path.data, match.path.data, match.path.size) != 0:
        return 0
    if path.size > match.path.size and path.data[match.path.size] != c"/":
        return 0
    # For every service: like an expression.
    return 1 if match.rule.calls and match.path.size == 0 else 2 + match.path.size


cdef bint same_name(const Slice *a, const Slice *b) noexcept nogil:
    cdef uint32_t i
    if a.size != b.size:
        return False
    for i in range(a.size):
        if lower(a.data[i]) != lower(b.data[i]):
            return False
    return True


cdef bint value_fits(const ValueTest *test, const char *value, uint32_t size) noexcept nogil:
    if test.pattern is not NULL:
        return pattern_matches(test.pattern, value, size)
    return size == test.value.size and memcmp(value, test.value.data, size) == 0


cdef bint header_fits(const ValueTest *test, const Message *message) noexcept nogil:
    """The values of several lines are joined with commas."""
    cdef char joined[TEXT_MOST]
    cdef uint32_t used = 0
    cdef uint32_t i, k
    cdef bint found = False
    for i in range(message.fields_count):
        if not same_name(&test.name, &message.fields[i].name):
            continue
        if found:
            joined[used] = c","
            used += 1
        found = True
        for k in range(message.fields[i].value.size):
            joined[used] = message.fields[i].value.data[k]
            used += 1
    return found and value_fits(test, joined, used)


cdef bint parameter_fits(const ValueTest *test, const Slice *query) noexcept nogil:
    """The first parameter with the name counts."""
    cdef uint32_t at = 0
    cdef uint32_t stop, middle
    while at < query.size:
        stop = at
        while stop < query.size and query.data[stop] != c"&":
            stop += 1
        middle = at
        while middle < stop and query.data[middle] != c"=":
            middle += 1
        if middle - at == test.name.size and memcmp(query.data + at, test.name.data, test.name.size) == 0:
            return value_fits(test, query.data + min(middle + 1, stop), stop - min(middle + 1, stop))
        at = stop + 1
    return False


cdef Slice method_of_call(const Message *message) noexcept nogil:
    """The last element of a path with more than one."""
    cdef uint32_t at = message.path.size
    while at and message.path.data[at - 1] != c"/":
        at -= 1
    return Slice(message.path.data + at, message.path.size - at if at > 1 else 0)


cdef bint conditions_hold(const Match *match, const Message *message) noexcept nogil:
    cdef Slice method = method_of_call(message) if match.rule.calls else message.method
    cdef uint32_t i
    if match.method.size and not slices_equal(&match.method, &method):
        return False
    for i in range(match.headers_count):
        if not header_fits(&match.headers[i], message):
            return False
    for i in range(match.query_count):
        if not parameter_fits(&match.query[i], &message.query):
            return False
    return True


cdef const Match *search_rules(const World *world, uint32_t listener, bint calls) noexcept nogil:
    cdef const Match *best = NULL
    cdef const Match *match
    cdef uint32_t best_host = 0
    cdef uint32_t best_path = 0
    cdef uint32_t i, k, host, path
    for i in range(world.rules_count):
        host = specificity(&world.hostnames[i], &world.message.host)
        if world.homes[i] != listener or world.rules[i].calls != calls or host == 0 or host < best_host:
            continue
        for k in range(world.rules[i].matches_count):
            match = &world.matches[i][k]
            path = path_fits(match, &world.message.path)
            if path == 0 or not conditions_hold(match, &world.message):
                continue
            if best is NULL or host > best_host or path > best_path or (
                path == best_path and memcmp(match.rank.data, best.rank.data, 2) < 0
            ):
                best, best_host, best_path = match, host, path
    return best


cdef const Match *search(const World *world, uint32_t *listener) noexcept nogil:
    cdef uint32_t best = 0
    cdef const Match *match
    cdef uint32_t i, host
    listener[0] = world.listeners_count
    for i in range(world.listeners_count):
        host = specificity(&world.listeners[i].hostname, &world.message.host)
        if world.listeners[i].socket == world.socket and host > best:
            best = host
            listener[0] = i
    match = search_rules(world, listener[0], True) if world.calls else NULL
    return match if match is not NULL else search_rules(world, listener[0], False)
