# WebSockets over HTTP/2 (RFC 8441): a client asks with extended CONNECT, and the backend gets an Upgrade over HTTP/1.1 with
# a key of the gateway, because HTTP/2 has none.

from fastroute.ext.memory.entropy cimport Entropy
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.message cimport Message


# Makes extended CONNECT an Upgrade with a new key: its method, the field Upgrade, and Sec-WebSocket-Key. Returns 0, or -1 if
# the arena is full or the kernel gives no random bytes.
cdef int websocket_ask(Message *request, Entropy *entropy, Arena *arena) noexcept nogil
# Makes the 101 of a backend the answer of extended CONNECT: a 200 whose content is the tunnel. `request`: as it was sent to
# the backend. False: the answer does not accept the key (RFC 6455 section 4.1).
cdef bint websocket_accept(const Message *request, Message *answer) noexcept nogil
