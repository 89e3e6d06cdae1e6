"""The live cluster for `check` and `explain`: its objects, and the settings that fit it."""

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
import trio

from fastroute.apiserver.account import Account
from fastroute.apiserver.client import Client
from fastroute.resources.core import Service
from fastroute.resources.meta import Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.settings import CLASS_NAME, GraphSettings
from fastroute.source.kubernetes.scope import Scope
from fastroute.source.kubernetes.survey import NOT_READ, Survey, survey

SERVICE = "fastroute/fastroute"  # as the chart and the kustomize base name it


def read_cluster(
    kubeconfig: Path | None,
    context: str | None,
    controller_name: str,
    applied: Collection[Resource] = (),
    *,
    watched: Iterable[str] = (),
) -> Survey:
    """`watched`: the namespaces to read; empty: all. Raises SettingError without credentials, and ApiError if the API
    server cannot be reached."""
    account = Account(kubeconfig, context)
    return trio.run(_read, account, controller_name, applied, Scope(watched, [f"service/{SERVICE}"]))


async def _read(account: Account, controller_name: str, applied: Collection[Resource], scope: Scope) -> Survey:
    try:
        return await survey(Client(account), account.namespace, controller_name, applied, scope)
    except* Exception as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]  # of several kinds that cannot be read, the first one is enough
        raise error from None


def within(applied: Iterable[Resource], settings: GraphSettings) -> tuple[list[Resource], list[ManifestProblem]]:
    """The objects that an installation with these settings reads, and a warning for each of the others."""
    read: list[Resource] = []
    beyond: list[ManifestProblem] = []
    for one in applied:
        namespace = one.metadata.namespace
        if not settings.watched or not namespace or namespace in settings.watched:
            read.append(one)
            continue
        beyond.append(
            ManifestProblem(
                file=one.origin.file if one.origin else "",
                line=one.origin.line if one.origin else None,
                kind=type(one).__name__,
                namespace=namespace,
                name=one.metadata.name,
                reason=NOT_READ,
                message=f"Its namespace {namespace} is not read (--watch-namespace): the object is left out.",
            )
        )
    return read, beyond


def fitting(settings: GraphSettings, found: Survey) -> GraphSettings:
    """`settings` for a cluster. If its GatewayClasses may not be read, one is assumed as for manifests. If no address
    is given, the addresses are those of the Service of the chart, if there is one."""
    assumed = settings.class_name if found.reads_classes else CLASS_NAME
    addressing = settings.addressing
    has_service = any(isinstance(one, Service) and str(one.key) == SERVICE for one in found.objects)
    if has_service and not addressing.addresses and addressing.pool is None:
        addressing = msgspec.structs.replace(addressing, addresses=(f"service/{SERVICE}",))
    return msgspec.structs.replace(
        settings,
        bundle_version=found.bundle_version,
        missing=found.missing,
        class_name=assumed,
        addressing=addressing,
    )
