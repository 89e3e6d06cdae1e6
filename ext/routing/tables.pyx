# Builds tables from the previous version, in slices, and shares everything that a change does not affect.
#
# Shared are: a Rule that was put again unchanged (or not at all); a Choice while the weights of its rule are unchanged,
# by route and rule, so that all listeners to which a route is attached share it; a Group (listener and hostname) if
# none of its rules changed; a Listener if none of its groups changed; and most of the tables that contain them
# (hosts.pxd, handlemap.pxd). `put_` and `remove_` record the changes and make the rules; `step` applies them: it drops
# the rules of removed listeners, rebuilds changed groups, then changed listeners, then the table of sockets. The slices
# are the steps of one generator, a few microseconds each.

from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.time cimport clock, clock_t

from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.memory.graveyard cimport collect_for
from fastroute.ext.memory.sharedmap cimport SharedCursor
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.scratch cimport Scratch, slice_bytes
from fastroute.ext.routing.balancer cimport Choice, choose_target
from fastroute.ext.routing.choices cimport Choices
from fastroute.ext.routing.group cimport Group, group_add, group_expect, group_new, group_take, group_unref, group_widen
from fastroute.ext.routing.handlemap cimport HandleMap
from fastroute.ext.routing.handles cimport GroupHandle, ListenerHandle, RuleHandle, listener_for, text_slice
from fastroute.ext.routing.hosts cimport HostCursor, HostTable, hosts_get, hosts_next, hosts_put, hosts_remove, hosts_share
from fastroute.ext.routing.router cimport Decision, find_rule, groups_of
from fastroute.ext.routing.rule cimport Draft
from fastroute.ext.tls.certificate cimport Certificates

from fastroute.ext.message.reason import REASONS
from fastroute.ext.routing.rule import drafting

globals()["Upstreams"] = Upstreams      # a cimported name is not an attribute of the module by itself

__all__ = ["REASONS", "TableBuilder", "Tables", "Upstreams"]

cdef enum:
    SPAN = 8                    # small operations between two checks of the clock


cdef class Tables:
    """One version of the routing state of a worker. Made by a TableBuilder."""

    def __init__(self):
        raise TypeError("Tables are made by a TableBuilder")

    def discard(self):
        """Frees it in steps; it is not usable afterwards. It may have a hundred thousand rules."""
        yield from self.rules.emptying()
        yield from self.listeners.emptying()

    def socket_index(self, place not None) -> int:
        """The index of this place (a tuple of transport, address, port) in this version; -1 if there is none."""
        return self.sockets.indexes.get(place, -1)

    def __len__(self):
        return len(self.rules)

    def find(self, int socket, str method not None, str path not None, str host not None, headers=(), *, query=None,
             str asked=None):
        """The engine's decision: (rule id or None, index of the match, bytes of the matched prefix, spec port of the
        listener, reason). `path` is normalised, `query` has no "?". `asked`: the TLS server name; None without TLS.
        """
        cdef Scratch scratch = Scratch(1024 * 1024)
        cdef Decision decision
        cdef Slice name
        if asked is not None:
            name = text_slice(asked)
        scratch.request(method, path, query, host, headers)
        find_rule(self.routes, <uint32_t> socket, NULL if asked is None else &name, &scratch.message, &scratch.arena,
                  &decision)
        id = None if decision.rule == NULL else slice_bytes(&decision.rule.id).decode()
        return id, decision.match, decision.prefix, decision.listener_port, reason_name(decision.reason).decode()

    def seconds(self, int socket, str host not None, list paths not None, uint32_t rounds, list headers not None):
        """Seconds of processor time for `rounds` lookups of GET requests, for each of `paths` in turn."""
        cdef list scratches = [Scratch(64 * 1024) for _ in paths]
        cdef Scratch scratch
        cdef Decision decision
        cdef uint32_t i
        cdef clock_t began
        headers = [("Host", host), ("User-Agent", "x"), ("Accept", "*/*"), *headers]
        for scratch, path in zip(scratches, paths):
            scratch.request("GET", path, None, host, headers)
        began = clock()
        for i in range(rounds):
            scratch = <Scratch> scratches[i % <uint32_t> len(scratches)]
            find_rule(self.routes, <uint32_t> socket, NULL, &scratch.message, &scratch.arena, &decision)
        return (clock() - began) / 1e6

    def pick(self, str rule not None) -> int:
        """The index of the backendRef of this rule that gets the next request; -1: none. Raises KeyError."""
        cdef RuleHandle handle = self.rules.find(rule)
        if handle is None:
            raise KeyError(rule)
        return choose_target(handle.rule.choice)


cdef class TableBuilder:
    """Makes the next version, once; not usable after `finish` or an exception.

    `previous` is the version to start from (None: empty), and is not changed. HTTPS listeners use `certificates` by id,
    including certificates that are put later.
    """

    cdef Upstreams upstreams
    cdef Certificates certificates
    cdef Tables previous
    cdef object version
    cdef HandleMap rules        # id -> RuleHandle, new
    cdef HandleMap listeners    # id -> ListenerHandle, old, then new
    cdef Sockets sockets        # new, once all listeners are
    cdef Choices choices
    cdef dict put               # id -> (snapshot.Listener, its slot), listeners that were put
    cdef dict orphaned          # id -> ListenerHandle, listeners that were removed
    cdef dict touched           # listener id -> {(hostname, whether for calls): [(rule id, RuleHandle put)]}
    cdef set removed            # addresses of the Rules of `previous` that are dropped
    cdef dict groups            # listener id -> {(hostname, whether for calls): GroupHandle}, groups that were rebuilt
    cdef list left              # ListenerHandles that are only in `previous`
    cdef list came              # those that are only in the next version
    cdef object work            # the generator, once started
    cdef bint is_done           # the work was completed

    def __init__(self, Upstreams upstreams not None, Tables previous, version, Certificates certificates=None):
        self.upstreams = upstreams
        self.certificates = Certificates() if certificates is None else certificates
        self.previous = previous
        self.version = version
        self.rules = HandleMap() if previous is None else previous.rules.share()
        self.listeners = HandleMap() if previous is None else previous.listeners.share()
        self.choices = Choices() if previous is None else previous.choices
        self.put, self.orphaned, self.touched, self.removed, self.groups = {}, {}, {}, set(), {}
        self.left, self.came = [], []

    # --- recording changes

    def put_listener(self, listener, uint32_t slot=0) -> None:
        """Puts a new or changed snapshot.Listener, and its slot in http_requests_total (0: `other`); its rules stay."""
        self.put[listener.id] = listener, slot

    def remove_listener(self, str id not None) -> None:
        """Removes the listener and all its rules."""
        self.put.pop(id, None)
        handle = self.listeners.take(id)
        if handle is not None:
            self.orphaned[id] = handle

    def put_rule(self, rule, slots) -> None:
        """Puts a snapshot.Rule, new or changed, with its RuleSlots.

        Raises ValueError if RE2 refuses a regular expression, and then changes nothing.
        """
        for _ in self.putting_rule(rule, slots):
            pass

    def putting_rule(self, rule, slots):
        """`put_rule` in steps."""
        cdef RuleHandle old = self.rules.find(rule.id)
        cdef RuleHandle handle
        cdef Draft draft
        cdef Py_hash_t fingerprint = hash((rule, tuple(slots.targets), tuple(slots.upstreams), slots.local, slots.duration))
        if old is not None and old.fingerprint == fingerprint and rule.listener not in self.orphaned:
            return
        draft = Draft()
        yield from drafting(draft, rule, slots, self.upstreams)
        handle = RuleHandle()
        handle.rule, draft.rule = draft.rule, NULL
        handle.rule.choice = self._choice(rule)
        handle.fingerprint = fingerprint
        handle.listener = rule.listener
        handle.hostnames = ",".join(rule.hostnames)
        handle.calls = handle.rule.calls
        if old is not None:
            self._forget(old)
        self.rules.put(rule.id, handle)
        for hostname in dict.fromkeys(rule.hostnames):
            self._touch(rule.listener, hostname, handle.calls).append((rule.id, handle))

    def remove_rule(self, str id not None) -> None:
        cdef RuleHandle old = self.rules.take(id)
        if old is not None:
            self._forget(old)

    cdef list _touch(self, str listener, str hostname, bint calls):
        """Records that a group must be rebuilt; returns the list of rules to add to it."""
        return self.touched.setdefault(listener, {}).setdefault((hostname, calls), [])

    cdef int _forget(self, RuleHandle old) except -1:
        self.removed.add(<uintptr_t> old.rule)
        for hostname in old.hostnames.split(","):
            self._touch(old.listener, hostname, old.calls)
        return 0

    cdef Choice *_choice(self, source) except NULL:
        """The Choice of this rule of the route, with a reference."""
        key = f"{source.route_kind}|{source.route}|{source.id.rpartition('|')[2]}"
        return self.choices.choice(key, [backend.weight for backend in source.backends])

    # --- building

    def step(self, int microseconds) -> bool:
        """Works for about `microseconds`; True while work is left.

        Raises ValueError if a rule was put for a listener that was never put.
        """
        cdef uint64_t end = microseconds_now() + microseconds
        collect_for(microseconds // 2)
        return self._work_until(end)

    def finish(self) -> Tables:
        """Does the remaining work and returns the tables."""
        cdef Tables tables
        self._work_until(<uint64_t> -1)
        if not self.is_done:
            raise RuntimeError("a TableBuilder makes tables once, and none after an exception")
        self.is_done = False
        tables = Tables.__new__(Tables)
        tables.routes = self.sockets.routes
        tables.version = self.version
        tables.rules, tables.listeners, tables.sockets = self.rules, self.listeners, self.sockets
        tables.choices = self.choices
        return tables

    def discard(self):
        """Frees in steps the objects that are used only for building, and those that no version uses any more."""
        for hostnames in self.touched.values():
            for added in hostnames.values():
                while added:
                    for _ in range(min(SPAN, len(added))):
                        added.pop()
                    yield
            yield from _emptying(hostnames)
        for groups in self.groups.values():
            yield from _emptying(groups)
        yield from _emptying(self.touched)
        yield from _emptying(self.groups)
        yield from _emptying(self.put)
        yield from _emptying(self.orphaned)
        for some in (self.removed, self.left, self.came):
            while some:
                for _ in range(min(SPAN, len(some))):
                    some.pop()
                yield
        yield from self.choices.pruning(2 * len(self.rules) + 64)
        yield from self.upstreams.tidying()

    cdef bint _work_until(self, uint64_t end) except -1:
        if self.work is None:
            self.work = self._work()
        for _ in self.work:
            if microseconds_now() >= end:
                return True
        return False

    def _work(self):
        yield from self._drop_orphans()
        yield from self._build_groups()
        yield from self._build_listeners()
        yield from self._build_sockets()
        self.is_done = True

    def _drop_orphans(self):
        """Drops the rules of listeners that were removed, except rules that were put again in this version."""
        cdef ListenerHandle orphan
        for orphan in self.orphaned.values():
            self.left.append(orphan)
            yield from self._drop_rules(orphan, False)
            yield from self._drop_rules(orphan, True)

    def _drop_rules(self, ListenerHandle orphan, bint calls):
        cdef HostCursor cursor = HostCursor(SharedCursor(0, 0), SharedCursor(0, 0), False)
        cdef HostTable *groups = groups_of(orphan.listener, calls)
        cdef Group *group = <Group *> hosts_next(groups, &cursor)
        cdef uint32_t i
        while group != NULL:
            for i in range(group.rules_count):
                self._drop(group.rules[i])
                if i % SPAN == SPAN - 1:
                    yield
            group = <Group *> hosts_next(groups, &cursor)
            yield

    cdef int _drop(self, Rule *rule) except -1:
        cdef str id = rule.id.data[:rule.id.size].decode()
        cdef RuleHandle handle = self.rules.find(id)
        if handle is not None and handle.rule == rule:
            self.rules.take(id)
        return 0

    def _build_groups(self):
        cdef GroupHandle handle
        for listener, hostnames in self.touched.items():
            if listener not in self.put and self.listeners.find(listener) is None:
                self._refuse_homeless(hostnames)
                continue
            for scope, added in hostnames.items():
                handle = GroupHandle()
                self.groups.setdefault(listener, {})[scope] = handle
                yield from self._fill_group(handle, self._old_group(listener, scope), scope[0], added)
                yield

    cdef int _refuse_homeless(self, dict hostnames) except -1:
        """Raises ValueError if a rule was put for a listener that does not exist."""
        for added in hostnames.values():
            for id, handle in added:
                if self.rules.find(id) is handle:
                    raise ValueError(f"rule {id!r} is for a listener that was never put")
        return 0

    cdef ListenerHandle _old_listener(self, str id):
        """The listener in `previous`; None if it was removed since."""
        return None if self.previous is None or id in self.orphaned else self.previous.listeners.find(id)

    cdef GroupHandle _old_group(self, str listener, tuple scope):
        """The group of (hostname, whether for calls) in `previous`, if there is one."""
        cdef ListenerHandle old = self._old_listener(listener)
        cdef GroupHandle handle = GroupHandle()
        if old is not None:
            handle.group = <Group *> hosts_get(groups_of(old.listener, scope[1]), text_slice(scope[0]))
        if handle.group != NULL:
            handle.group.grave.refs += 1
        return handle

    def _fill_group(self, GroupHandle handle, GroupHandle before, str hostname, list added):
        cdef Group *old = before.group
        cdef Rule *source
        cdef RuleHandle rule
        cdef uint32_t i, k
        cdef uint32_t old_count = 0
        handle.group = group_new(text_slice(hostname), (0 if old == NULL else old.rules_count) + <uint32_t> len(added))
        if old != NULL:
            group_expect(handle.group, old)
            old_count = old.rules_count
        for i in range(old_count + <uint32_t> len(added)):
            if i < old_count:
                source = NULL if self.removed and <uintptr_t> old.rules[i] in self.removed else old.rules[i]
            else:
                id, rule = added[i - old_count]
                source = rule.rule if self.rules.find(id) is rule else NULL
            if source != NULL:
                group_take(handle.group, source)
                for k in range(source.matches_count):
                    while group_widen(handle.group, &source.matches[k]):
                        yield
                    group_add(handle.group, &source.matches[k])
                    if k % SPAN == SPAN - 1:
                        yield
            if i % SPAN == SPAN - 1:
                yield
        if handle.group.rules_count == 0:
            group_unref(handle.group)
            handle.group = NULL

    def _build_listeners(self):
        for id in {**self.put, **self.groups}:
            yield from self._build_listener(id, self.put.get(id), self._old_listener(id), self.groups.get(id, {}))

    def _build_listener(self, str id, tuple put, ListenerHandle old, dict rebuilt):
        cdef ListenerHandle listener = listener_for(put, old, self.certificates)
        cdef GroupHandle handle
        cdef HostTable *groups
        if old is not None:
            hosts_share(&listener.listener.groups, &old.listener.groups)
            hosts_share(&listener.listener.calls, &old.listener.calls)
            self.left.append(old)
        for (hostname, calls), handle in rebuilt.items():
            groups = groups_of(listener.listener, calls)
            hosts_remove(groups, text_slice(hostname))
            if handle.group != NULL:
                hosts_put(groups, handle.group.hostname, &handle.group.grave)
            yield
        self.listeners.put(id, listener)
        self.came.append(listener)
        yield

    def _build_sockets(self):
        if self.previous is not None and self.previous.sockets.distinct:
            self.sockets = Sockets()
            yield from self.sockets.editing(self.previous.sockets, self.left, self.came)
            if self.sockets.distinct:
                return
        self.sockets = Sockets()
        yield from self.sockets.filling(self.listeners)


# --- helpers


def _emptying(dict entries):
    """Removes the entries in steps."""
    while entries:
        for _ in range(min(SPAN, len(entries))):
            entries.popitem()
        yield


