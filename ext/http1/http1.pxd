# The HTTP/1 wire protocol without sockets, as one interface: bytes to Heads and body spans. Refuses ambiguous messages.
#
#   head      the type Head
#   parser    parse_request, parse_response
#   target    request target
#   field     field lines, and what they mean
#   body      body_start, body_take, body_decode
#   write     write_request, write_response, chunk heads

from fastroute.ext.http1.body cimport *
from fastroute.ext.http1.field cimport *
from fastroute.ext.http1.head cimport *
from fastroute.ext.http1.parser cimport *
from fastroute.ext.http1.target cimport *
from fastroute.ext.http1.write cimport *
from fastroute.ext.message.refusal cimport *
