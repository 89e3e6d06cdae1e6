# The HTTP/1 wire protocol without sockets, as one interface: bytes to Heads and body spans. Refuses ambiguous messages.
#
#   refusal   why something was refused, and the status for it
#   head      the types Head and HeadLimits
#   parser    parse_request, parse_response
#   target    request target, authority, path normalisation
#   field     field lines, and what they mean
#   body      body_start, body_take, body_decode
#   write     write_request, write_response, write_local_response, chunk heads, dates

from fastroute.ext.http1.body cimport *
from fastroute.ext.http1.field cimport *
from fastroute.ext.http1.head cimport *
from fastroute.ext.http1.parser cimport *
from fastroute.ext.http1.refusal cimport *
from fastroute.ext.http1.target cimport *
from fastroute.ext.http1.write cimport *
