# A protocol for Messages that has no chunks, for tests only, in the streams of framing.pyx. It goes when the product has
# such a protocol.
#
# A message is a sequence of records: one octet for the kind, three for the size of the payload, and the payload.
#
#   H   a head, as lines "name: value", each with LF; ":method", ":status" and so on; a body follows
#   h   the same, without a body
#   D   content
#   E   the end of the body, with the lines of its trailers
