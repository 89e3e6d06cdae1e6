"""TLS of a listener: resolves or refuses its certificateRefs (credential.py), and reads its options.

Listeners of a Gateway need grants from kind Gateway, those of a ListenerSet grants
from kind ListenerSet. If only some of the references resolve, these are served and the condition names the others; if
none resolves, the listener is not served.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from fastroute.graph import conditions
from fastroute.graph.authorities import Shelf
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.credential import NO_CREDENTIAL, Credential, resolve_certificate, resolve_credential
from fastroute.graph.dependency import Dependencies, Reader
from fastroute.graph.frontend import NO_FRONTEND, Frontend, Validation, resolve_frontend
from fastroute.graph.frontend_conditions import of_gateway
from fastroute.graph.mode import ends_tls
from fastroute.graph.node import HolderId, Problem
from fastroute.listed import listed, shortened
from fastroute.resources.gateway import Gateway, Listener, ListenerSet, ListenerTLSConfig
from fastroute.resources.meta import Key
from fastroute.snapshot import ListenerTLS

PREFIX = "fastroute.dev/"  # prefix of fastroute's keys in tls.options
SECURE = "HTTPS"  # the protocol whose listeners have requests inside of TLS
VERSIONS = ("1.2", "1.3")
CIPHERS = frozenset(  # OpenSSL names; forward secret and authenticated (RFC 9325); those of TLS 1.3 begin with TLS_
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
    }
)


class ResolvedTLS(msgspec.Struct, frozen=True):
    """The result for a listener. Without `tls` a listener that ends TLS cannot be served, and `problems` has the
    reason."""

    tls: ListenerTLS | None = None
    problems: tuple[Problem, ...] = ()


NONE = ResolvedTLS()


def resolve_tls(holder: HolderId, listener: Listener, index: int, reader: Reader, vault: Vault) -> ResolvedTLS:
    """`holder`: the Gateway or ListenerSet with the listener; `index`: position of the listener in it."""
    field = f"spec.listeners[{index}].tls"
    if not ends_tls(listener):
        return NONE
    config = listener.tls or ListenerTLSConfig()
    if not config.certificate_refs:
        return ResolvedTLS(problems=(conditions.no_certificate_refs(f"{field}.certificateRefs"),))
    problems: list[Problem] = []
    served: dict[str, CertificateNode] = {}
    for number, ref in enumerate(config.certificate_refs):
        found = resolve_certificate(holder, ref, f"{field}.certificateRefs[{number}]", reader, vault)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            served[found.id] = found
    mistakes = list(_option_problems(config.options, field))
    options: dict[str, Any] = _options(config.options) if not mistakes else {}
    mistakes.extend(_useless_ciphers(options, {node.signs for node in served.values()}, field))
    inside: dict[str, Any] = {} if listener.protocol == SECURE else {"protocol": "raw", "alpn": ()}
    tls = ListenerTLS(certificates=tuple(served), **inside, **options) if served and not mistakes else None
    return ResolvedTLS(tls, (*mistakes, *problems))


# --- Options


def _is_version(value: str) -> str | None:
    return None if value in VERSIONS else f"must be one of {', '.join(VERSIONS)}"


def _cipher_names(value: str) -> list[str]:
    return [name for name in re.split(r"[\s:,]+", value) if name]


def _are_ciphers(value: str) -> str | None:
    names = _cipher_names(value)
    if strange := [name for name in names if name not in CIPHERS]:
        return f"{listed(strange, write=shortened)} is not served; the ciphers are {', '.join(sorted(CIPHERS))}"
    return None if names else "must name at least one cipher"


# By key: what is wrong with a value (None if nothing), the field of ListenerTLS, and the value of that field.
OPTIONS: Mapping[str, tuple[Callable[[str], str | None], str, Callable[[str], str]]] = {
    "min-version": (_is_version, "min_version", str),
    "max-version": (_is_version, "max_version", str),
    "ciphers": (_are_ciphers, "ciphers", lambda value: ":".join(dict.fromkeys(_cipher_names(value)))),
}


def _option_problems(options: Mapping[str, str], field: str) -> Iterator[Problem]:
    """Keys with other domains are for other implementations and are ignored."""
    for key, value in options.items():
        domain, slash, _ = key.rpartition("/")
        name = key.removeprefix(PREFIX)
        where = f"{field}.options[{key}]"
        if not slash:
            yield conditions.unsupported_value(f"a key needs a domain, such as {PREFIX}{name}.", where)
        elif f"{domain}/" != PREFIX:
            continue
        elif name not in OPTIONS:
            known = ", ".join(PREFIX + option for option in OPTIONS)
            yield conditions.unsupported_value(f"there is no such option; those of fastroute are {known}.", where)
        elif wrong := OPTIONS[name][0](value):
            yield conditions.unsupported_value(f"{wrong}.", where, "Correct or remove it.")
    least, most = (options.get(f"{PREFIX}{end}-version") for end in ("min", "max"))
    if least in VERSIONS and most in VERSIONS and VERSIONS.index(least) > VERSIONS.index(most):
        what = f"{least} is above {PREFIX}max-version {most}."
        yield conditions.unsupported_value(what, f"{field}.options[{PREFIX}min-version]", "Correct or remove it.")


def _useless_ciphers(options: Mapping[str, Any], keys: set[str], field: str) -> Iterator[Problem]:
    """A problem if no client could connect: only TLS 1.2 is allowed, and none of its ciphers works with `keys`."""
    older = [name for name in options.get("ciphers", "").split(":") if name.startswith("ECDHE-")]
    if options.get("max_version") != "1.2" or not older or not keys or keys & {name.split("-")[1] for name in older}:
        return
    has = " and ".join(sorted(keys))
    what = f"with TLS 1.2 only, no client can connect: the certificates have {has} keys, which no cipher here supports."
    way_out = f"Name one of ECDHE-{min(keys)}-…, or allow TLS 1.3."
    yield conditions.unsupported_value(what, f"{field}.options[{PREFIX}ciphers]", way_out)


def _options(options: Mapping[str, str]) -> dict[str, Any]:
    ours = {key.removeprefix(PREFIX): value for key, value in options.items() if key.startswith(PREFIX)}
    return {OPTIONS[name][1]: OPTIONS[name][2](value) for name, value in ours.items()}


# --- certificates of clients


def verifying(
    source: Gateway | ListenerSet, resolved: tuple[ResolvedTLS, ...], frontend: Frontend, gateway: Key | None = None
) -> tuple[ResolvedTLS, ...]:
    """The TLS of the listeners with the validation of their ports. `gateway`: the Gateway of a ListenerSet."""
    if frontend is NO_FRONTEND:
        return resolved
    made = []
    for listener, one in zip(source.spec.listeners, resolved, strict=True):
        validation = frontend.of(listener.port)
        if gateway is not None:
            said = tuple(of_gateway(problem, gateway, source.key.namespace) for problem in validation.problems)
            validation = validation._replace(problems=said)
        made.append(_verifying(listener, one, validation))
    return tuple(made)


def _verifying(listener: Listener, resolved: ResolvedTLS, validation: Validation) -> ResolvedTLS:
    clients, problems = validation.clients, validation.problems
    if listener.protocol != SECURE or (clients is None and not problems):
        return resolved
    tls = None
    if resolved.tls is not None and clients is not None:
        tls = msgspec.structs.replace(resolved.tls, clients=clients)
    return ResolvedTLS(tls, (*resolved.problems, *problems))


# --- Gateways and ListenerSets


class TLSUnit(msgspec.Struct, frozen=True, eq=False):
    """The TLS of every listener of a Gateway or ListenerSet, and what was read for it."""

    source: Gateway | ListenerSet
    resolved: tuple[ResolvedTLS, ...]
    frontend: Frontend  # of a Gateway
    credential: Credential  # of a Gateway
    dependencies: Dependencies


def resolve_holder(
    holder: HolderId, source: Gateway | ListenerSet, reader: Reader, vault: Vault, shelf: Shelf
) -> TLSUnit:
    resolved = tuple(
        resolve_tls(holder, listener, index, reader, vault) for index, listener in enumerate(source.spec.listeners)
    )
    frontend, credential = NO_FRONTEND, NO_CREDENTIAL
    if isinstance(source, Gateway):
        frontend, credential = resolve_frontend(source, reader, shelf), resolve_credential(source, reader, vault)
    return TLSUnit(source, resolved, frontend, credential, reader.dependencies)
