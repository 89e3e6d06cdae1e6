# Making the listeners of a version, in steps.

from libc.stdint cimport uint32_t

from fastroute.ext.routing.router cimport routes_new, routes_put, routes_remove, routes_share, routes_unref

from heapq import merge

cdef enum:
    SPAN = 8                    # places that are shared in one step


cdef class Sockets:
    def __dealloc__(self):
        if self.routes != NULL:
            routes_unref(self.routes)

    def editing(self, Sockets previous not None, list removed not None, list put not None):
        """Makes this one, which is new, from `previous` in steps. `removed`, `put`: the handles of listeners."""
        cdef ListenerHandle handle
        cdef uint32_t count = previous.routes.count
        cdef uint32_t i
        places = {(<ListenerHandle> one).place for one in put} - previous.indexes.keys()
        self.indexes, self.free, self.distinct = previous.indexes, previous.free[:], previous.distinct
        self.routes = routes_new(count + <uint32_t> max(0, len(places) - len(self.free)))
        self.free += range(count, self.routes.count)
        for i in range(count):
            routes_share(self.routes, i, previous.routes)
            if i % SPAN == SPAN - 1:
                yield
        for handle in removed:
            self._remove(handle)
            yield
        for handle in put:
            self.distinct = self._put(handle) and self.distinct
            yield

    def filling(self, HandleMap listeners not None):
        """Makes this one, which is new, from all listeners in steps."""
        cdef ListenerHandle handle
        cdef list runs = []
        cdef set places = set()
        for part in listeners.parts:
            if part:
                runs.append(sorted(part.items()))
                for handle in part.values():
                    places.add(handle.place)
                yield
        self.routes = routes_new(<uint32_t> len(places))
        self.indexes, self.free, self.distinct, self.own = {}, list(range(len(places))), True, True
        for _, handle in merge(*runs):
            self.distinct = self._put(handle) and self.distinct
            yield

    cdef Py_ssize_t _index(self, place) except -1:
        """Of a place, which gets one if it has none."""
        index = self.indexes.get(place)
        if index is None:
            index = self._own_indexes()[place] = self.free.pop()
        return index

    cdef dict _own_indexes(self):
        if not self.own:
            self.indexes, self.own = self.indexes.copy(), True
        return self.indexes

    cdef int _put(self, ListenerHandle handle) except -1:
        """False: another listener has its place and hostname."""
        return routes_put(self.routes, <uint32_t> self._index(handle.place), handle.listener)

    cdef int _remove(self, ListenerHandle handle) except -1:
        index = self.indexes[handle.place]
        routes_remove(self.routes, index, handle.listener)
        if self.routes.sites[<uint32_t> index].listeners_count == 0:
            del self._own_indexes()[handle.place]
            self.free.append(index)
        return 0
