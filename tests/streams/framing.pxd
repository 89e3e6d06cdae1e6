# A protocol with streams, for tests only. A frame is: stream (4 bytes, big-endian; 0: the connection), flags (1 byte), size
# of the payload (3 bytes), payload. A frame without RESET, CREDIT and LEAVE is content; the content of a stream is HTTP/1.1.
# The client numbers its streams, upwards from 1. A stream and a connection begin with the windows below in each direction.

from libc.stdint cimport uint32_t


cdef enum:
    HEAD = 8                    # bytes before the payload
    PAYLOAD_MOST = 16384
    STREAMS_MOST = 100          # of a connection
    STREAM_WINDOW = 32768       # bytes of content without credit
    CONNECTION_WINDOW = 131072

cdef enum Flag:
    FLAG_END = 1                # content: the last of the stream
    FLAG_RESET = 2              # the payload is a Cause, 1 byte
    FLAG_CREDIT = 4             # the payload is a number of bytes, 4 bytes
    FLAG_LEAVE = 8              # the connection takes no more streams; 4 bytes: the last one that is processed

cdef struct Framing:            # of one parent
    uint32_t last               # the highest stream number so far
    uint32_t credit             # bytes that were taken and not announced yet
