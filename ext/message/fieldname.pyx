"""The names of fields that a proxy must interpret itself; see fieldname.pxd.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memset

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport (
    FIELD_CLAIM, FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_DATE, FIELD_EXPECT, FIELD_HOST, FIELD_KEEP_ALIVE,
    FIELD_LOCATION, FIELD_LOOP, FIELD_MAX_FORWARDS, FIELD_MIMIC, FIELD_OTHER, FIELD_PROXY, FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION, FIELD_PROXY_CONNECTION, FIELD_SERVER, FIELD_TE, FIELD_TRAILER, FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE, FIELD_X_FORWARDED_CLIENT_CERT, FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO, FIELD_X_REQUEST_ID,
)
from fastroute.ext.message.octet cimport lower

NAMES = {
    FIELD_HOST: b"host",
    FIELD_CONTENT_LENGTH: b"content-length",
    FIELD_TRANSFER_ENCODING: b"transfer-encoding",
    FIELD_CONNECTION: b"connection",
    FIELD_KEEP_ALIVE: b"keep-alive",
    FIELD_PROXY_CONNECTION: b"proxy-connection",
    FIELD_TE: b"te",
    FIELD_TRAILER: b"trailer",
    FIELD_UPGRADE: b"upgrade",
    FIELD_EXPECT: b"expect",
    FIELD_PROXY_AUTHENTICATE: b"proxy-authenticate",
    FIELD_PROXY_AUTHORIZATION: b"proxy-authorization",
    FIELD_X_FORWARDED_FOR: b"x-forwarded-for",
    FIELD_X_FORWARDED_PROTO: b"x-forwarded-proto",
    FIELD_X_FORWARDED_HOST: b"x-forwarded-host",
    FIELD_X_REQUEST_ID: b"x-request-id",
    FIELD_X_FORWARDED_CLIENT_CERT: b"x-forwarded-client-cert",
    FIELD_PROXY: b"proxy",
    FIELD_MAX_FORWARDS: b"max-forwards",
    FIELD_DATE: b"date",
    FIELD_SERVER: b"server",
    FIELD_LOCATION: b"location",
    FIELD_LOOP: b"fastroute-loop",
}

# Fields of a request or an answer that are not copied to the next hop. Host and the framing fields are written from members
# of the Message. The others are hop-by-hop, or must not be accepted from any peer.
HOP_FIELDS = (
    FIELD_HOST, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_CONNECTION, FIELD_KEEP_ALIVE,
    FIELD_PROXY_CONNECTION, FIELD_TE, FIELD_UPGRADE, FIELD_PROXY_AUTHENTICATE, FIELD_PROXY_AUTHORIZATION,
    FIELD_X_FORWARDED_CLIENT_CERT, FIELD_PROXY, FIELD_MIMIC,
)

# Fields in which a proxy says where a request came from: FIELD_CLAIM, as are all names that begin with a prefix.
CLAIMS = (
    # the client's address, or anything
    b"forwarded", b"forwarded-for", b"x-forwarded", b"x-real-ip", b"x-client-ip", b"client-ip", b"true-client-ip",
    b"x-cluster-client-ip", b"x-originating-ip", b"x-remote-ip", b"x-remote-addr", b"x-proxyuser-ip",
    b"cf-connecting-ip", b"cf-connecting-ipv6", b"fastly-client-ip", b"fly-client-ip", b"x-azure-clientip",
    b"x-azure-socketip", b"x-envoy-external-address", b"x-original-forwarded-for", b"x-original-remote-addr",
    # the scheme
    b"front-end-https", b"x-arr-ssl", b"x-scheme", b"x-url-scheme", b"x-original-proto",
    # host, path and method
    b"x-host", b"x-http-host-override", b"x-original-host", b"x-original-method", b"x-original-uri", b"x-original-url",
    b"x-rewrite-url",
    # the client's certificate
    b"client-cert", b"client-cert-chain", b"ssl-client-cert", b"ssl-client-verify", b"x-arr-clientcert",
    b"x-client-cert",
)
CLAIM_PREFIXES = (b"x-forwarded-", b"x-ssl-client-")

cdef enum:
    PREFIXES = 2

cdef Slice prefixes[PREFIXES]   # of names that are FIELD_CLAIM


cdef bint is_mimicked(const char *name, const char *known, uint32_t size) noexcept nogil:
    """Whether `name` equals `known`, except for '_' instead of '-'."""
    cdef uint32_t i
    for i in range(size):
        if lower(name[i]) != known[i] and not (name[i] == c'_' and known[i] == c'-'):
            return False
    return True


cdef uint8_t unknown_name(const char *name, uint32_t size, const KnownName *known) noexcept nogil:
    cdef uint32_t i
    if known.text.size == size and is_mimicked(name, known.text.data, size):
        return FIELD_MIMIC
    for i in range(<uint32_t> PREFIXES):
        if size > prefixes[i].size and is_mimicked(name, prefixes[i].data, prefixes[i].size):
            return FIELD_CLAIM if memchr(name, c'_', size) == NULL else FIELD_MIMIC
    return FIELD_OTHER


cdef bint fill_cells() noexcept:
    """False: two names share a cell."""
    cdef uint32_t i, cell
    memset(name_cells, 0, sizeof(name_cells))
    for i in range(1, <uint32_t> NAMES_MOST):
        if known_names[i].text.size == 0:
            break
        cell = cell_of(known_names[i].text.data, known_names[i].text.size)
        if name_cells[cell]:
            return False
        name_cells[cell] = <uint8_t> i
    return True


def _lay_out():
    """Fills the tables, and searches for a factor for which no two names share a cell."""
    global name_factor
    listed = [(name, known) for known, name in NAMES.items()] + [(name, FIELD_CLAIM) for name in CLAIMS]
    if len(listed) >= NAMES_MOST or max(len(name) for name, _ in listed) > NAME_MOST:
        raise AssertionError("NAMES_MOST or NAME_MOST is too small")
    for i, (name, known) in enumerate(listed, 1):
        known_names[i] = KnownName(Slice(<const char *> name, <uint32_t> len(name)), <uint8_t> known)
    for i, name in enumerate(CLAIM_PREFIXES):
        prefixes[i] = Slice(<const char *> name, <uint32_t> len(name))
    for candidate in range(0x9e3779b1, 0x9e3779b1 + 20000, 2):
        name_factor = candidate
        if fill_cells():
            return
    raise AssertionError("no factor makes the hash of field names perfect: more CELLS are needed")


_lay_out()
