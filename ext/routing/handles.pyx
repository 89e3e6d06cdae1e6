# References to rules, groups and listeners, held by the Python dictionaries of tables; and making a Listener.

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint32_t

from fastroute.ext.routing.group cimport group_unref
from fastroute.ext.routing.router cimport (
    MODE_DATAGRAMS, MODE_HTTP, MODE_PASSTHROUGH, MODE_RAW, listener_new, listener_unref,
)
from fastroute.ext.routing.rule cimport rule_unref
from fastroute.ext.routing.sampling cimport sampling_new, sampling_ref
from fastroute.ext.tls.secure cimport Secure, secure_new, secure_unref


cdef class RuleHandle:
    def __dealloc__(self):
        if self.rule != NULL:
            rule_unref(self.rule)


cdef class GroupHandle:
    def __dealloc__(self):
        if self.group != NULL:
            group_unref(self.group)


cdef class ListenerHandle:
    def __dealloc__(self):
        if self.listener != NULL:
            listener_unref(self.listener)


cdef Slice text_slice(str text) except *:
    cdef Py_ssize_t size
    cdef Slice slice
    slice.data = PyUnicode_AsUTF8AndSize(text, &size)
    slice.size = <uint32_t> size
    return slice


cdef dict MODES = {"http": MODE_HTTP, "raw": MODE_RAW, "passthrough": MODE_PASSTHROUGH, "datagrams": MODE_DATAGRAMS}


cdef int _mode_of(source) except -1:
    """The ListenerMode of a snapshot.Listener. With TLS that ends here, it is that of the bytes in it."""
    if source.mode != "terminate":
        return MODES[source.mode]
    return MODE_HTTP if source.tls is None or source.tls.protocol == "http" else MODE_RAW


cdef ListenerHandle listener_for(tuple put, ListenerHandle old, Certificates certificates):
    cdef ListenerHandle handle = ListenerHandle()
    cdef Secure *secure = NULL
    if put is not None:
        source, slot = put
        if source.mode == "terminate":
            secure = secure_new(source, certificates)
        try:
            handle.listener = listener_new(
                text_slice(source.gateway), text_slice(source.name), text_slice(source.hostname), source.spec_port, secure,
                _mode_of(source)
            )
        except MemoryError:
            if secure != NULL:
                secure_unref(secure)
            raise
        handle.listener.series = slot
        handle.listener.sampling = sampling_new(source.tracing)
        handle.place = source.place
    else:
        handle.listener = listener_new(
            old.listener.gateway, old.listener.name, old.listener.hostname, old.listener.spec_port, old.listener.secure,
            old.listener.mode
        )
        if old.listener.secure != NULL:
            old.listener.secure.refs += 1
        handle.listener.sampling = sampling_ref(old.listener.sampling)
        handle.listener.series = old.listener.series
        handle.place = old.place
    return handle
