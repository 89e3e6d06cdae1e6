# The HTTP/1 wire protocol without sockets, as one interface: bytes to Heads and body spans. Refuses ambiguous messages.
#
#   refusal   why something was refused, and the status for it
#   head      the types Head, Field, HeadLimits; parse_request, parse_response
#   target    request target, authority, path normalisation
#   field     field lines, and what they mean
#   body      body_start, body_take, body_decode
#   write     write_request, write_response, write_local_response, chunk heads, dates

from fastroute.ext.body cimport *
from fastroute.ext.field cimport *
from fastroute.ext.head cimport *
from fastroute.ext.refusal cimport *
from fastroute.ext.target cimport *
from fastroute.ext.write cimport *
