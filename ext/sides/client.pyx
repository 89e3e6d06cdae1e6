"""The sides towards clients, by protocol; see client.pxd."""

from fastroute.ext.http2.parent cimport http2_parent
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_HTTP2_STREAM
from fastroute.ext.reactor.parent cimport protocol_at
from fastroute.ext.sides.http1_client cimport http1_client
from fastroute.ext.sides.http2_client cimport http2_client

http1_client(&client_rows[<int> PROTOCOL_HTTP1])
http2_client(&client_rows[<int> PROTOCOL_HTTP2_STREAM])
http2_parent(protocol_at(PROTOCOL_HTTP2))
