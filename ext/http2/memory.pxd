# The memory of libnghttp2: most objects of a stream are as short-lived as the stream.

from fastroute.ext.http2.nghttp2 cimport nghttp2_mem

# The allocator of all sessions.
cdef nghttp2_mem *session_memory() noexcept nogil
