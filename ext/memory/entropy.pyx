# Batches of random bytes from the kernel; see entropy.pxd.

from libc.errno cimport EINTR, errno
from libc.string cimport memcpy, memset

import os

cdef extern from *:
    """
    #include <errno.h>
    #define fastroute_set_errno(value) (errno = (value))
    """
    void set_errno "fastroute_set_errno"(int value) nogil

cdef extern from "<sys/mman.h>" nogil:
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MADV_WIPEONFORK
    void *MAP_FAILED
    void *mmap_memory "mmap"(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int madvise(void *address, size_t length, int advice)


cdef Entropy *entropy_open() except NULL:
    cdef Entropy *entropy = <Entropy *> mmap_memory(
        NULL, sizeof(Entropy), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if entropy == MAP_FAILED:
        raise OSError(errno, os.strerror(errno))
    # A sandbox without MADV_WIPEONFORK refuses it. Workers are started with exec and do not fork.
    madvise(entropy, sizeof(Entropy), MADV_WIPEONFORK)
    if not _fill(entropy):
        code = errno
        entropy_close(entropy)
        raise OSError(code, f"getrandom: {os.strerror(code)}")
    return entropy


cdef void entropy_close(Entropy *entropy) noexcept nogil:
    if entropy != NULL:
        munmap(entropy, sizeof(Entropy))


cdef bint _fill(Entropy *entropy) noexcept nogil:
    """getrandom may be interrupted, and may give fewer bytes than asked for if it asks for more than 256."""
    cdef ssize_t got
    cdef uint32_t have = 0
    while have < <uint32_t> BATCH:
        if entropy.source != NULL:
            got = entropy.source(entropy.bytes + have, BATCH - have, 0)
        else:
            got = getrandom(entropy.bytes + have, BATCH - have, 0)
        if got > 0:
            have += <uint32_t> got
        elif got == 0 or errno != EINTR:
            return False
    entropy.left = BATCH
    return True


cdef bint entropy_take(Entropy *entropy, uint8_t *out, uint32_t size) noexcept nogil:
    cdef uint32_t part
    while size:
        if entropy.left == 0 and not _fill(entropy):
            return False
        part = size if size < entropy.left else entropy.left
        entropy.left -= part
        memcpy(out, entropy.bytes + entropy.left, part)
        memset(entropy.bytes + entropy.left, 0, part)
        out += part
        size -= part
    return True


cdef char pairs[512]            # the two hex digits of each octet
for _octet in range(256):
    pairs[2 * _octet], pairs[2 * _octet + 1] = b"%02x" % _octet


cdef bint entropy_uuid(Entropy *entropy, char *out) noexcept nogil:
    cdef uint8_t octets[16]
    cdef uint32_t i
    if not entropy_take(entropy, octets, 16):
        return False
    octets[6] = (octets[6] & 0x0f) | 0x40       # version
    octets[8] = (octets[8] & 0x3f) | 0x80       # variant
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            out[0] = c'-'
            out += 1
        memcpy(out, pairs + 2 * octets[i], 2)
        out += 2
    return True


# --- for Python

cdef enum:
    SCRIPT_MOST = 64

cdef long _script[SCRIPT_MOST]      # what the scripted getrandom returns; below 0: -errno
cdef uint32_t _script_size
cdef uint32_t _script_at


cdef ssize_t _scripted(void *buffer, size_t size, unsigned int flags) noexcept nogil:
    """Like getrandom, but gives the scripted sizes and errors first."""
    global _script_at
    cdef long step
    if _script_at == _script_size:
        return getrandom(buffer, size, flags)
    step = _script[_script_at]
    _script_at += 1
    if step < 0:
        set_errno(<int> -step)
        return -1
    return getrandom(buffer, min(<size_t> step, size), flags)


cdef class RandomIds:
    """Request ids as an engine makes them. `script`: what the first calls of getrandom return, a size or -errno."""

    cdef Entropy *_entropy

    def __cinit__(self, script=()):
        global _script_size, _script_at
        self._entropy = entropy_open()
        self._entropy.left = 0
        self._entropy.source = _scripted
        _script_size = _script_at = 0
        for step in script[:SCRIPT_MOST]:
            _script[_script_size] = step
            _script_size += 1

    def __dealloc__(self):
        entropy_close(self._entropy)

    def next(self) -> str:
        """Raises OSError if the kernel gives no random bytes."""
        cdef char text[UUID_TEXT]
        if not entropy_uuid(self._entropy, text):
            raise OSError(errno, os.strerror(errno))
        return text[:UUID_TEXT].decode()

    @property
    def calls(self) -> int:
        """How many steps of the script were used."""
        return _script_at
