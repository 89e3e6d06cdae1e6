"""The sides towards backends, by protocol; see backend.pxd."""

from fastroute.ext.http2.parent cimport http2_backend_parent
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1, PROTOCOL_HTTP2_BACKEND, PROTOCOL_HTTP2_STREAM, PROTOCOL_RAW
from fastroute.ext.reactor.parent cimport protocol_at
from fastroute.ext.sides.http1_backend cimport http1_backend
from fastroute.ext.sides.http2_backend cimport http2_backend
from fastroute.ext.sides.raw_backend cimport raw_backend

http1_backend(&backend_rows[<int> PROTOCOL_HTTP1])
http2_backend(&backend_rows[<int> PROTOCOL_HTTP2_STREAM])
raw_backend(&backend_rows[<int> PROTOCOL_RAW])
http2_backend_parent(protocol_at(PROTOCOL_HTTP2_BACKEND))
