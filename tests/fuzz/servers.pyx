"""The backends of a session; see servers.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset, strlen
from posix.unistd cimport close

import socket

cdef extern from "<string.h>" nogil:
    void *memmem(const void *data, size_t size, const void *part, size_t part_size)

cdef extern from "<sys/socket.h>" nogil:
    enum:
        SOCK_NONBLOCK, SOCK_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL
    int accept4(int fd, void *address, void *size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t recv(int fd, void *data, size_t size, int flags)

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_MD
    ctypedef struct ENGINE
    const EVP_MD *EVP_sha1()
    int EVP_Digest(const void *data, size_t size, unsigned char *out, unsigned int *out_size, const EVP_MD *kind,
                   ENGINE *engine)
    int EVP_EncodeBlock(unsigned char *out, const unsigned char *data, int size)

cdef enum:
    CONNECTIONS = 256           # at the same time
    CONTENT = 40000
    CLOSING = 4                 # from this answer on the backend closes behind it,
    UPGRADE = 8                 # but not behind the last one: a 101
    KEY = 24                    # Sec-WebSocket-Key
    ACCEPT = 28

cdef struct Served:
    int fd
    bint framed                 # HTTP/2
    bint begun                  # of HTTP/2: SETTINGS were sent; of HTTP/1.1: it is a WebSocket, and every byte comes back
    uint32_t sent               # bytes of the script

cdef const char *answers[ANSWERS]
answers[:] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n",       # and as much content
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: yes\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
    b"nonsense\r\n\r\n",
    b"",                                                            # none
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ",
]
cdef const char *GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"     # RFC 6455 section 1.3
cdef const char *KEY_FIELD = b"Sec-WebSocket-Key: "
cdef const char *SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

cdef int plain                  # listening sockets
cdef int framed
cdef Served[CONNECTIONS] served
cdef uint32_t count
cdef char[CONTENT] content
cdef char[65536] received


def _listen():
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    return listening.getsockname()[1], listening.detach()


cdef tuple servers_open():
    global plain, framed
    memset(content, c"x", CONTENT)
    plain_port, plain = _listen()
    framed_port, framed = _listen()
    return plain_port, framed_port


cdef void put(int fd, const void *data, size_t size) noexcept nogil:
    send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)


cdef void upgrade(Served *one, size_t size) noexcept nogil:
    """Answers a WebSocket: its key is in `received`."""
    cdef char *key = <char *> memmem(received, size, KEY_FIELD, strlen(KEY_FIELD))
    cdef char[64] text
    cdef unsigned char[20] digest
    cdef unsigned char[ACCEPT + 1] accept
    if key is NULL or key + strlen(KEY_FIELD) + KEY > received + size:
        return
    memcpy(text, key + strlen(KEY_FIELD), KEY)
    memcpy(text + KEY, GUID, strlen(GUID))
    EVP_Digest(text, KEY + strlen(GUID), digest, NULL, EVP_sha1(), NULL)
    EVP_EncodeBlock(accept, digest, 20)
    put(one.fd, answers[UPGRADE], strlen(answers[UPGRADE]))
    put(one.fd, accept, ACCEPT)
    put(one.fd, b"\r\n\r\n", 4)
    one.begun = True


cdef bint answer(Served *one, const Conduct *conduct) noexcept nogil:
    """False: the connection has ended."""
    cdef ssize_t size = recv(one.fd, received, sizeof(received), MSG_DONTWAIT)
    if size <= 0:
        return size < 0         # there is nothing to read
    if one.begun:
        put(one.fd, received, size)
        return True
    if conduct.answer == UPGRADE:
        upgrade(one, size)
        return True
    put(one.fd, answers[conduct.answer], strlen(answers[conduct.answer]))
    if conduct.answer == 1:
        put(one.fd, content, CONTENT)
    return conduct.answer < CLOSING


cdef bint follow(Served *one, const Conduct *conduct) noexcept nogil:
    """Sends the next bytes of the script, which begins when the client has sent something. False: it has ended."""
    cdef ssize_t size = recv(one.fd, received, sizeof(received), MSG_DONTWAIT)
    cdef uint32_t rest = conduct.script.used - one.sent
    if size == 0:
        return False
    if not one.begun:
        if size < 0:
            return True
        one.begun = True
        put(one.fd, SETTINGS, 9)
    rest = min(rest, conduct.step)
    if rest:
        size = send(one.fd, conduct.script.frames + one.sent, rest, MSG_DONTWAIT | MSG_NOSIGNAL)
        one.sent += <uint32_t> size if size > 0 else 0
    return one.sent < conduct.script.used or not conduct.closes


cdef void take(int listening, bint is_framed) noexcept nogil:
    cdef int fd
    while count < CONNECTIONS:
        fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            return
        add(fd, is_framed)


cdef void add(int fd, bint is_framed) noexcept nogil:
    global count
    served[count] = Served(fd, is_framed, False, 0)
    count += 1


cdef void remove(uint32_t i) noexcept nogil:
    global count
    close(served[i].fd)
    count -= 1
    served[i] = served[count]


cdef void servers_serve(const Conduct *conduct) noexcept nogil:
    cdef uint32_t i = 0
    take(plain, False)
    take(framed, True)
    while i < count:
        if follow(&served[i], conduct) if served[i].framed else answer(&served[i], conduct):
            i += 1
        else:
            remove(i)


cdef void servers_leave() noexcept nogil:
    take(plain, False)
    take(framed, True)
    while count:
        remove(count - 1)
