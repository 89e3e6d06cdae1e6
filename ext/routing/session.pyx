"""Session tokens; see session.pxd."""

from libc.stdint cimport UINT32_MAX, uint8_t
from libc.string cimport memcpy, memset

from fastroute.ext.memory.bytemap cimport bytes_hash
from fastroute.ext.memory.pool cimport pool_free, pool_start, pool_take, pool_text
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.date cimport write_date
from fastroute.ext.message.fieldlist cimport append_field, join_slices, same_name
from fastroute.ext.message.message cimport DROPPED_HERE
from fastroute.ext.message.scratch cimport Scratch

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct ENGINE:
        pass
    EVP_CIPHER_CTX *EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context)
    int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *context, int padding)
    const EVP_CIPHER *EVP_aes_128_ecb()
    int EVP_CipherInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, ENGINE *engine, const uint8_t *key,
                          const uint8_t *vector, int encrypt)
    int EVP_CipherUpdate(EVP_CIPHER_CTX *context, uint8_t *out, int *size, const uint8_t *data, int data_size)

cdef extern from "<stdio.h>" nogil:
    int snprintf(char *out, size_t size, const char *format, ...)

cdef enum:
    KEY = 16                    # bytes of a key, and of a block
    TEXT = 22                   # characters of a token: base64url without padding (RFC 4648 section 5)
    MARK_SEED = 0x6D61726B      # fixed, because tokens made by one process are read by others
    EARLY = 60                  # seconds that the clock of another replica may be ahead
    ATTRIBUTES = 96             # bytes of the lifetime attributes of a cookie

cdef const char *LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
cdef uint8_t VALUES[256]
memset(VALUES, 64, sizeof(VALUES))
for _value in range(64):
    VALUES[<uint8_t> LETTERS[<int> _value]] = _value


# --- creation


cdef EVP_CIPHER_CTX *_cipher(bytes key, bint encrypt) except NULL:
    cdef EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new()
    if context == NULL or EVP_CipherInit_ex(context, EVP_aes_128_ecb(), NULL, key, NULL, encrypt) != 1:
        EVP_CIPHER_CTX_free(context)
        raise MemoryError
    EVP_CIPHER_CTX_set_padding(context, 0)
    return context


cdef Session *session_new(Pool *pool, source) except NULL:
    cdef Session *session = <Session *> pool_take(pool, sizeof(Session))
    if len(source.key) != KEY:
        raise ValueError(f"a session's key has {KEY} bytes, not {len(source.key)}")
    session.header = source.header
    session.permanent = source.permanent
    session.holds_backend = source.holds_backend
    session.lifetime = min(source.lifetime_s, UINT32_MAX)
    pool_text(pool, source.name, &session.name)
    pool_text(pool, source.name.lower(), &session.lower)
    pool_text(pool, f"; Path={source.path}; Secure; HttpOnly; SameSite=Strict", &session.attributes)
    try:
        session.encrypting = _cipher(source.key, True)
        session.decrypting = _cipher(source.key, False)
    except BaseException:
        session_free(session)
        raise
    return session


cdef void session_free(Session *session) noexcept nogil:
    if session != NULL:
        EVP_CIPHER_CTX_free(session.encrypting)
        EVP_CIPHER_CTX_free(session.decrypting)


cdef uint32_t session_mark(Slice backend) noexcept nogil:
    return <uint32_t> bytes_hash(backend.data, backend.size, MARK_SEED)


# --- tokens as text


cdef bint _crypt(EVP_CIPHER_CTX *context, const uint8_t *block, uint8_t *out) noexcept nogil:
    cdef int size = 0
    return EVP_CipherUpdate(context, out, &size, block, KEY) == 1 and size == KEY


cdef bint _decode(const Session *session, Slice text, Token *token) noexcept nogil:
    cdef uint8_t block[KEY]
    cdef uint8_t plain[2 * KEY]         # OpenSSL may write one block more than it reports
    cdef uint32_t bits = 0
    cdef int held = 0           # bits that are not in `block` yet
    cdef int at = 0
    cdef int i
    if text.size != TEXT:
        return False
    for i in range(TEXT):
        if VALUES[<uint8_t> text.data[i]] == 64:
            return False
        bits = (bits << 6 | VALUES[<uint8_t> text.data[i]]) & 0xFFFF
        held += 6
        if held >= 8:
            held -= 8
            block[at] = <uint8_t> (bits >> held)
            at += 1
    if bits & 0xF or not _crypt(session.decrypting, block, plain):      # the last four bits must be 0
        return False
    memcpy(&token.endpoint, plain, 8)
    memcpy(&token.backend, plain + 8, 4)
    memcpy(&token.made, plain + 12, 4)
    return True


cdef bint _encode(const Session *session, const Token *token, char *text) noexcept nogil:
    cdef uint8_t plain[KEY]
    cdef uint8_t block[2 * KEY]
    cdef uint32_t bits = 0
    cdef int held = 0           # bits that are not in `text` yet
    cdef int at = 0
    cdef int i
    memcpy(plain, &token.endpoint, 8)
    memcpy(plain + 8, &token.backend, 4)
    memcpy(plain + 12, &token.made, 4)
    if not _crypt(session.encrypting, plain, block):
        return False
    for i in range(KEY):
        bits = (bits << 8 | block[i]) & 0xFFFF
        held += 8
        while held >= 6:
            held -= 6
            text[at] = LETTERS[(bits >> held) & 63]
            at += 1
    text[at] = LETTERS[(bits << (6 - held)) & 63]
    return True


# --- requests


cdef bint _is_current(const Session *session, const Token *token, int64_t now) noexcept nogil:
    cdef int64_t age = now - <int64_t> token.made
    return age >= -<int64_t> EARLY and (session.lifetime == 0 or age < session.lifetime)


cdef bint _next_pair(Slice *rest, Slice *name, Slice *value) noexcept nogil:
    """The next name=value of a Cookie field (RFC 6265 section 4.2.1). False if none is left."""
    cdef const char *at = rest.data
    cdef const char *end = at + rest.size
    cdef const char *stop
    while at < end and (at[0] == c' ' or at[0] == c';' or at[0] == c'\t'):
        at += 1
    if at == end:
        return False
    name.data = at
    while at < end and at[0] != c'=' and at[0] != c';':
        at += 1
    name.size = <uint32_t> (at - name.data)
    if at < end and at[0] == c'=':
        at += 1
    value.data = at
    while at < end and at[0] != c';':
        at += 1
    stop = at
    while stop > value.data and ((stop - 1)[0] == c' ' or (stop - 1)[0] == c'\t'):
        stop -= 1
    value.size = <uint32_t> (stop - value.data)
    rest.data = at
    rest.size = <uint32_t> (end - at)
    return True


cdef bint _same_bytes(Slice a, Slice b) noexcept nogil:
    """Names of cookies are case-sensitive."""
    cdef uint32_t i
    if a.size != b.size:
        return False
    for i in range(a.size):
        if a.data[i] != b.data[i]:
            return False
    return True


cdef bint session_read(const Session *session, const Message *message, int64_t now, uint64_t *position,
                       Token *token) noexcept nogil:
    cdef Slice cookie
    cdef Slice rest, name, value
    cdef uint32_t i = <uint32_t> (position[0] >> 32)        # the field, and the examined bytes of its value
    cdef uint32_t seen = <uint32_t> position[0]
    cookie.data = b"cookie"
    cookie.size = 6
    while i < message.fields_count:
        if (message.fields[i].dropped == DROPPED_HERE
                or not same_name(&session.lower if session.header else &cookie, &message.fields[i].name)):
            i += 1
            continue
        rest = message.fields[i].value
        if session.header:
            i += 1
            position[0] = <uint64_t> i << 32
            if _decode(session, rest, token) and _is_current(session, token, now):
                return True
            continue
        rest.data += seen
        rest.size -= seen
        while _next_pair(&rest, &name, &value):
            seen = <uint32_t> (rest.data - message.fields[i].value.data)
            position[0] = <uint64_t> i << 32 | seen
            if _same_bytes(name, session.name) and _decode(session, value, token) and _is_current(session, token, now):
                return True
        i += 1
        seen = 0
    position[0] = <uint64_t> i << 32
    return False


# --- responses


cdef int session_write(const Session *session, const Token *token, Message *message, Arena *arena) noexcept nogil:
    cdef char *text = <char *> arena_take(arena, TEXT)
    cdef char lifetime[ATTRIBUTES]
    cdef char date[30]
    cdef Slice parts[5]
    cdef Slice name, value
    if text == NULL or not _encode(session, token, text):
        return -1
    value.data = text
    value.size = TEXT
    if session.header:
        return 0 if append_field(message, arena, session.name, value) != NULL else -1
    parts[0] = session.name
    parts[1].data = b"="
    parts[1].size = 1
    parts[2] = value
    parts[3] = session.attributes
    parts[4].data = lifetime
    parts[4].size = 0
    if session.permanent and session.lifetime:
        write_date(date, <int64_t> token.made + session.lifetime)
        date[29] = 0
        parts[4].size = <uint32_t> snprintf(
            lifetime, ATTRIBUTES, b"; Max-Age=%u; Expires=%s", session.lifetime, <const char *> date)
    if join_slices(&value, arena, parts, 5) < 0:
        return -1
    name.data = b"Set-Cookie"
    name.size = 10
    return 0 if append_field(message, arena, name, value) != NULL else -1


# --- for Python


cdef class Sessions:
    """The tokens of a rule with this snapshot.Session."""

    cdef Session *_session
    cdef Pool _pool

    def __cinit__(self, session not None):
        pool_start(&self._pool, 512)
        self._session = session_new(&self._pool, session)

    def __dealloc__(self):
        session_free(self._session)
        pool_free(&self._pool)

    def read(self, fields, int64_t now) -> list[tuple[int, int, int]]:
        """(endpoint, backend, made) of each token in the fields of a request that session_read accepts."""
        cdef Scratch scratch = Scratch(65536)
        cdef uint64_t position = 0
        cdef Token token
        found = []
        scratch.fill(fields)
        while session_read(self._session, &scratch.message, now, &position, &token):
            found.append((token.endpoint, token.backend, token.made))
        return found

    def write(self, uint64_t endpoint, uint32_t backend, uint32_t made, *, uint32_t arena=65536):
        """The fields of a response with this token. MemoryError if the arena is full."""
        cdef Scratch scratch = Scratch(arena)
        cdef Token token = Token(endpoint, backend, made)
        scratch.fill(())
        if session_write(self._session, &token, &scratch.message, &scratch.arena) < 0:
            raise MemoryError
        return scratch.fields()
