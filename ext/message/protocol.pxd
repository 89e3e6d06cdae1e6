# The protocols that carry Messages. Each has a row in the tables of ext/sides.

cdef enum Protocol:             # what is spoken on a connection
    PROTOCOL_HTTP1 = 0
    PROTOCOL_TESTED             # of a module under tests/, which fills in its rows
    PROTOCOLS                   # number of protocols
