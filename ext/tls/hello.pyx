"""The server name in a ClientHello; see hello.pxd. Layout: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3.

Every length is checked against the structure that contains it, so nothing is read beyond the given bytes. libssl checks
the rest (versions, ciphers, other extensions).
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef enum:
    RECORD_HEAD = 5             # type, version, length
    RECORD_HANDSHAKE = 22
    RECORD_MOST = 16384         # bytes in a plaintext record
    MESSAGE_HEAD = 4            # type, length
    MESSAGE_HELLO = 1
    RANDOM = 34                 # bytes of the legacy version and the random
    EXTENSION_NAME = 0          # server_name
    NAME_HOST = 0               # its only type

cdef struct Reader:             # the remaining bytes of a structure
    const uint8_t *at
    uint32_t size


cdef bint skip(Reader *reader, uint32_t size) noexcept nogil:
    if size > reader.size:
        return False
    reader.at += size
    reader.size -= size
    return True


cdef bint take(Reader *reader, uint32_t width, Reader *piece) noexcept nogil:
    """Reads the piece that is preceded by its length in `width` bytes. False: it is incomplete."""
    cdef uint32_t size = 0
    cdef uint32_t i
    if width > reader.size:
        return False
    for i in range(width):
        size = size << 8 | reader.at[i]
    reader.at += width
    reader.size -= width
    piece.at = reader.at
    piece.size = size
    return skip(reader, size)


cdef int hello_read(Hello *hello, const char *data, uint32_t size, char *room) noexcept nogil:
    cdef Reader message
    cdef int found
    hello.size = 0
    found = gather(<const uint8_t *> data, size, room, &message)
    if found <= 0:
        return found
    return 1 if find_name(hello, &message) else -1


cdef int gather(const uint8_t *data, uint32_t size, char *room, Reader *message) noexcept nogil:
    """The message without record headers, in `data` or assembled in `room`. Returns like hello_read."""
    cdef uint32_t at = 0, held = 0, length, whole
    while True:
        if size > at and data[at] != RECORD_HANDSHAKE:
            return -1
        if size - at < RECORD_HEAD:
            return 0 if size < HELLO_MOST else -1
        length = <uint32_t> data[at + 3] << 8 | data[at + 4]
        if length == 0 or length > RECORD_MOST or data[at + 1] != 3:
            return -1
        if size - at - RECORD_HEAD < length:
            return 0 if at + RECORD_HEAD + length <= HELLO_MOST else -1
        if held + length > HELLO_MOST:
            return -1
        memcpy(room + held, data + at + RECORD_HEAD, length)
        held += length
        at += RECORD_HEAD + length
        message.at = <const uint8_t *> room
        if message.at[0] != MESSAGE_HELLO:
            return -1
        if held < MESSAGE_HEAD:
            continue
        whole = <uint32_t> message.at[1] << 16 | <uint32_t> message.at[2] << 8 | message.at[3]
        if held >= MESSAGE_HEAD + whole:
            message.at += MESSAGE_HEAD
            message.size = whole
            return 1


cdef bint find_name(Hello *hello, Reader *message) noexcept nogil:
    """False: the message is not well formed."""
    cdef Reader piece, extensions
    if not (skip(message, RANDOM) and take(message, 1, &piece) and take(message, 2, &piece)
            and take(message, 1, &piece)):
        return False
    if message.size == 0:
        return True             # an old one, without extensions
    if not take(message, 2, &extensions) or message.size:
        return False
    while extensions.size:
        message.at = extensions.at
        if not skip(&extensions, 2) or not take(&extensions, 2, &piece):
            return False
        if message.at[0] == 0 and message.at[1] == EXTENSION_NAME:
            return read_name(hello, &piece)
    return True


cdef bint read_name(Hello *hello, Reader *extension) noexcept nogil:
    cdef Reader names, name
    cdef uint8_t kind, byte
    cdef uint32_t i
    if not take(extension, 2, &names) or extension.size or names.size == 0:
        return False
    kind = names.at[0]
    if kind != NAME_HOST or not skip(&names, 1) or not take(&names, 2, &name) or names.size:
        return False
    if name.size and name.at[name.size - 1] == c".":
        name.size -= 1
    if name.size == 0 or name.size > NAME_MOST:
        return False
    for i in range(name.size):
        byte = name.at[i]
        if byte <= 32 or byte >= 127:
            return False
        hello.name[i] = byte | 32 if c"A" <= byte <= c"Z" else byte
    hello.size = name.size
    return True


def read(data: bytes):
    """The server name of a ClientHello ("" if it has none); None if bytes are missing. ValueError: not a ClientHello.
    """
    cdef Hello hello
    cdef char *room = <char *> malloc(HELLO_MOST)
    cdef int found
    if room is NULL:
        raise MemoryError
    try:
        found = hello_read(&hello, data, <uint32_t> len(data), room)
    finally:
        free(room)
    if found < 0:
        raise ValueError("no ClientHello")
    return hello.name[:hello.size].decode() if found else None
