"""Decode: the text of a document → typed objects, or the errors in them.

Text → plain values (document.py) → checked by the schema (shapes.py) → defaults → typed object → checked by the rules
over several fields (cel.py). An object with a fault is not created. Objects of other kinds are skipped, with a warning
if the kind was probably meant to be a known one. Positions are looked up only if there is something to report.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from fastroute.resources import cel
from fastroute.resources.core import (
    CERTIFICATES,
    ClusterTrustBundle,
    ConfigMap,
    EndpointSlice,
    Namespace,
    Secret,
    Service,
)
from fastroute.resources.defaults import NAMESPACE, with_defaults
from fastroute.resources.document import (
    MalformedError,
    Pause,
    Positions,
    Texts,
    free,
    is_list,
    nearest,
    no_pause,
    parse,
    parse_json,
    positions,
    scalar,
    written,
)
from fastroute.resources.endpoints import Endpoints
from fastroute.resources.gateway import EXPERIMENTAL, GROUP, Gateway, GatewayClass, ListenerSet
from fastroute.resources.lookalike import is_gateway_api, lookalike
from fastroute.resources.meta import Key, Origin, Resource
from fastroute.resources.policy import (
    UNSERVED_POLICY,
    BackendTLSPolicy,
    ReferenceGrant,
    UnservedPolicy,
    read_policy,
    unusable_policy,
)
from fastroute.resources.problem import Fault, ManifestProblem, Path, field_name
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.schema import unknown_fields
from fastroute.resources.shapes import SHAPES, shape_of
from fastroute.resources.telemetry import XTelemetryPolicy

logger = logging.getLogger(__name__)

Id = tuple[str, Key]  # kind and key: identifies an object

MOST_FAULTS = 20  # reported per object
LOT = 100  # positions that are freed at a time
UNKNOWN_FIELD, UNKNOWN_KIND = "UnknownField", "UnknownKind"  # reasons of warnings


class Kind(NamedTuple):
    """A kind we read: its type and API versions."""

    type: type[Resource]
    versions: tuple[str, ...]
    cluster: bool = False  # cluster-scoped


KINDS: dict[tuple[str, str], Kind] = {
    (GROUP, "GatewayClass"): Kind(GatewayClass, ("v1", "v1beta1"), cluster=True),
    (GROUP, "Gateway"): Kind(Gateway, ("v1", "v1beta1")),
    (GROUP, "ListenerSet"): Kind(ListenerSet, ("v1",)),
    **{(GROUP, route.name): Kind(route.type, route.versions) for route in ROUTES.values()},
    (GROUP, "ReferenceGrant"): Kind(ReferenceGrant, ("v1", "v1beta1")),
    (GROUP, "BackendTLSPolicy"): Kind(BackendTLSPolicy, ("v1", "v1alpha3")),
    (EXPERIMENTAL, "XTelemetryPolicy"): Kind(XTelemetryPolicy, ("v1alpha1",)),
    ("", "Namespace"): Kind(Namespace, ("v1",), cluster=True),
    ("", "Service"): Kind(Service, ("v1",)),
    ("", "Secret"): Kind(Secret, ("v1",)),
    ("", "ConfigMap"): Kind(ConfigMap, ("v1",)),
    ("", "Endpoints"): Kind(Endpoints, ("v1",)),
    ("discovery.k8s.io", "EndpointSlice"): Kind(EndpointSlice, ("v1",)),
    (CERTIFICATES, "ClusterTrustBundle"): Kind(ClusterTrustBundle, ("v1", "v1beta1"), cluster=True),
}


TYPES: dict[str, type[Resource]] = {  # by the kind in an Id
    **{name: kind.type for (_, name), kind in KINDS.items()},
    UNSERVED_POLICY: UnservedPolicy,
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The result of decoding one object of a manifest."""

    id: Id | None = None  # None if it could not be read, or if the kind is not read
    resource: Resource | None = None  # None: the object has errors, see `problems`; both: see `_broken`
    problems: tuple[ManifestProblem, ...] = ()
    warnings: tuple[ManifestProblem, ...] = ()  # unknown fields and kinds, which have no effect
    line: int = 1  # of the object, in the file
    number: int = 0  # of the document in the decoded text; `path` is the object's path in that document
    path: Path = ()


def decode(text: str, file: str, line: int = 1, *, json: bool = False, pause: Pause = no_pause) -> tuple[Entry, ...]:
    """Decodes a document that begins at `line` of `file`. Never raises: faults are in the entries."""
    try:
        values = parse_json(text, pause) if json else parse(text, pause)
    except MalformedError as error:
        at = None if error.line is None else error.line + line - 1
        message = f"is not valid {'JSON' if json else 'YAML'}: {error.message}"
        problem = ManifestProblem(file=file, line=at, column=error.column, message=message)
        return (Entry(problems=(problem,), line=line),)
    source = _Source(file, line, _Text(text, pause))
    entries = []
    for number, value in enumerate(values):
        for path, item in _unpacked(value, ()):
            pause()
            if (entry := _entry(item, source.at(number, path))) is not None:
                entries.append(msgspec.structs.replace(entry, number=number, path=path))
    source.text.free()
    for value in values:
        free(value, pause)
    return tuple(entries)


class _Text:
    """A text and the positions of its values, computed on first use, once for all objects of a List.

    No functools.cached_property: in Python 3.11 it holds a lock that all instances share. `pause` lets another thread
    run, which would wait for that lock forever.
    """

    def __init__(self, text: str, pause: Pause) -> None:
        self._text, self.pause = text, pause
        self._positions: list[Positions] | None = None
        self._written: list[Texts] | None = None

    @property
    def positions(self) -> list[Positions]:
        if self._positions is None:
            self._positions = positions(self._text, self.pause)
        return self._positions

    @property
    def written(self) -> list[Texts]:
        if self._written is None:
            self._written = written(self._text, self.pause)
        return self._written

    def free(self) -> None:
        """Frees the positions in lots. To free the 600,000 of 20,000 objects takes 60 ms."""
        for mapping in (*(self._positions or ()), *(self._written or ())):
            while mapping:
                for _ in range(min(LOT, len(mapping))):
                    mapping.popitem()
                self.pause()


class _Source(NamedTuple):
    """The position of an object: document `number` of a text that begins at `line` of a file, and `path` in it."""

    file: str
    line: int
    text: _Text
    number: int = 0
    path: Path = ()

    def at(self, number: int, path: Path) -> "_Source":
        return self._replace(number=number, path=path)

    def position(self, path: Path) -> tuple[int, int | None]:
        documents = self.text.positions
        found = nearest(documents[self.number], self.path + path) if documents else None
        return (found[0] + self.line - 1, found[1]) if found else (self.line, None)

    def written(self, path: Path) -> str | None:
        """A scalar as written in the file; None if that is not known, or if the value is not a scalar."""
        documents = self.text.written
        return documents[self.number].get(self.path + path) if documents else None


def _unpacked(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The objects of a document: itself, or the items of a List."""
    if is_list(value):
        inherited = {"apiVersion": value.get("apiVersion"), "kind": value["kind"].removesuffix("List")}
        for index, item in enumerate(value["items"]):
            whole = {**inherited, **item} if isinstance(item, dict) and inherited["kind"] else item
            yield from _unpacked(whole, (*path, "items", index))
    elif value is not None:
        yield path, value


def _entry(value: Any, source: _Source) -> Entry | None:
    """None: the kind is not read, and there is no warning."""
    if fault := _unnamed(value):
        return Entry(problems=_problems((fault,), source, None, None), line=source.position(())[0])
    group, _, version = value["apiVersion"].rpartition("/")
    kind = KINDS.get((group, value["kind"]))
    if kind is None:
        return _foreign(value, group, source)
    key = _key(value, cluster=kind.cluster)
    if version not in kind.versions:
        fix = f"{group}/{kind.versions[0]}".lstrip("/")
        fault = Fault(("apiVersion",), f"must be {fix} for {value['kind']}, got {value['apiVersion']}", fix)
        return _broken((fault,), source, value, key)
    shape = shape_of(group, value["kind"], version)
    faults = tuple(islice(shape.faults(value, source.text.pause), MOST_FAULTS))
    if not faults:
        resource, faults = _typed(kind, value, source)
        if resource is not None:
            unknown = tuple(islice(unknown_fields(shape, value, source.text.pause), MOST_FAULTS))
            warnings = _problems(unknown, source, value["kind"], key, UNKNOWN_FIELD) if unknown else ()
            line = resource.origin.line if resource.origin else source.line
            return Entry(id=(value["kind"], resource.key), resource=resource, warnings=warnings, line=line)
        return _broken(faults, source, value, key)
    further = _further(kind, value, faults, source) if len(faults) < MOST_FAULTS else ()
    return _broken((*faults, *further), source, value, key)


def _foreign(value: dict[str, Any], group: str, source: _Source) -> Entry | None:
    """For an object of a kind that is not read: a policy with its targets, or a warning about the kind, else None."""
    policy = read_policy(value, group)
    if policy is None:
        logger.debug("%s:%d: skipped %s %s", source.file, source.line, value["apiVersion"], value["kind"])
        doubt = _unread(group, value, source.text.pause)
        return _skipped(doubt, source, value) if doubt else None
    line = source.position(())[0]
    policy = msgspec.structs.replace(policy, origin=Origin(source.file, line))
    return Entry(id=(UNSERVED_POLICY, policy.key), resource=policy, line=line)


def _unnamed(value: Any) -> Fault | None:
    if not isinstance(value, dict):
        return Fault((), "must be a mapping with apiVersion, kind and metadata")
    for name in ("apiVersion", "kind"):
        if name not in value:
            return Fault((name,), "is required")
        if not isinstance(value[name], str):
            return Fault((name,), "must be a string")
    return None


def _unread(group: str, value: dict[str, Any], pause: Pause) -> Fault | None:
    """The warning about a skipped object: its kind resembles a known one, or belongs to the Gateway API."""
    written = f"{value['apiVersion']} {value['kind']}"
    meant = lookalike(group, value["kind"], tuple(KINDS))
    if meant is None:
        if not is_gateway_api(group):
            return None
        return Fault(("kind",), f"{written} is not read by fastroute: the object has no effect")
    home, name = meant
    version = f"{home}/{KINDS[meant].versions[0]}".lstrip("/")
    if home == group:
        fields = {"kind": name}
    else:
        fields = {"apiVersion": version, **({"kind": name} if name != value["kind"] else {})}
    fits = not any(SHAPES[meant].faults(value, pause))
    fix = "\n".join(f"{field}: {text}" for field, text in fields.items()).partition(": ")[2] if fits else None
    message = f"{written} is not read by fastroute: the object has no effect; did you mean {version} {name}?"
    return Fault((next(iter(fields)),), message, fix)


def _skipped(doubt: Fault, source: _Source, value: dict[str, Any]) -> Entry:
    """The entry of an object of a kind that is not read, with a warning."""
    warnings = _problems((doubt,), source, value["kind"], _key(value, cluster=False), UNKNOWN_KIND)
    return Entry(warnings=warnings, line=source.position(())[0])


def _key(value: dict[str, Any], *, cluster: bool) -> Key | None:
    metadata = value.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return None
    namespace = "" if cluster else metadata.get("namespace", NAMESPACE)
    return Key(namespace, metadata["name"]) if isinstance(namespace, str) else None


def _typed(kind: Kind, value: dict[str, Any], source: _Source) -> tuple[Resource | None, tuple[Fault, ...]]:
    filled = with_defaults(value["kind"], value, cluster=kind.cluster)
    line = source.position(())[0] if source.path or source.number else source.line
    filled["origin"] = {"file": source.file, "line": line}
    try:
        resource = msgspec.convert(filled, kind.type)
    except msgspec.ValidationError as error:  # not covered by the schema
        return None, (Fault((), str(error)),)
    if isinstance(resource, Secret | ConfigMap | ClusterTrustBundle):
        resource = resource.trimmed()
    faults = tuple(islice(cel.faults(value["kind"], resource, source.text.pause), MOST_FAULTS))
    return (None, faults) if faults else (resource, ())


def _further(kind: Kind, value: dict[str, Any], faults: tuple[Fault, ...], source: _Source) -> Iterator[Fault]:
    """Violations of the rules over several fields by an object that already has `faults`: the fields with faults are
    removed first, and a violation at a field that contains one of them is not reported."""
    rest = value
    for fault in faults:
        rest = _without(rest, fault.path)
    try:
        _, further = _typed(kind, rest, source)
    except (TypeError, ValueError, LookupError, AttributeError):  # the rest cannot be checked
        return
    for fault in further:
        if fault.path and not any(known.path[: len(fault.path)] == fault.path for known in faults):
            yield fault


def _without(value: Any, path: Path) -> Any:
    """The value without the field at `path`; only what contains the field is copied."""
    if isinstance(value, dict) and path and path[0] in value:
        if len(path) == 1:
            return {name: item for name, item in value.items() if name != path[0]}
        return {**value, path[0]: _without(value[path[0]], path[1:])}
    if isinstance(value, list) and len(path) > 1:
        index = int(path[0])
        return [*value[:index], _without(value[index], path[1:]), *value[index + 1 :]]
    return value  # the containing value is removed already, or is not a mapping


def _broken(faults: Iterable[Fault], source: _Source, value: dict[str, Any], key: Key | None) -> Entry:
    """A BackendTLSPolicy is read nevertheless, as far as it names Services: these must not be served without TLS."""
    kind = value["kind"]
    problems = _problems(faults, source, kind, key)
    line = source.position(())[0]
    if key is None:
        return Entry(problems=problems, line=line)
    resource = unusable_policy(value, key, Origin(source.file, line)) if kind == "BackendTLSPolicy" else None
    return Entry(id=(kind, key), resource=resource, problems=problems, line=line)


def _problems(
    faults: Iterable[Fault], source: _Source, kind: str | None, key: Key | None, reason: str | None = None
) -> tuple[ManifestProblem, ...]:
    problems = []
    mended = (_mended(fault, source) for fault in islice(faults, MOST_FAULTS))
    found = sorted(((source.position(fault.path), fault) for fault in mended), key=_in_the_file)
    for (line, column), fault in found:
        problems.append(
            ManifestProblem(
                file=source.file,
                line=line,
                column=column,
                message=fault.message,
                fix=_fix(fault),
                field=field_name(fault.path),
                kind=kind if key else None,
                namespace=key.namespace if key else None,
                name=key.name if key else None,
                reason=reason,
            )
        )
    return tuple(problems)


def _in_the_file(found: tuple[tuple[int, int | None], Fault]) -> tuple[int, int]:
    line, column = found[0]
    return line, column or 0


def _fix(fault: Fault) -> str | None:
    if fault.fix is None:
        return None
    name = fault.path[-1] if fault.path else 0
    return f"{scalar(name)}: {fault.fix}" if isinstance(name, str) else f"- {fault.fix}"


def _mended(fault: Fault, source: _Source) -> Fault:
    """The fault with a fix, if the value would be accepted in quotes or with its unit appended."""
    text = source.written(fault.path) if fault.wanted is not None else None
    if text is None:
        return fault
    if fault.wanted.takes(text):
        return fault._replace(message=f"{fault.message} (put it in quotes)", fix=json.dumps(text))
    more = f"{text}{fault.wanted.unit}"
    if fault.wanted.unit and fault.wanted.takes(more):
        return fault._replace(message=f"{fault.message} (write {more})", fix=more)
    return fault
