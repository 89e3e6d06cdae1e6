"""The live cluster for `check` and `explain`: its objects, and the settings that fit it."""

from collections.abc import Collection
from pathlib import Path

import msgspec
import trio

from fastroute.apiserver.account import Account
from fastroute.apiserver.client import Client
from fastroute.resources.core import Service
from fastroute.resources.meta import Resource
from fastroute.settings import CLASS_NAME, GraphSettings
from fastroute.source.kubernetes.survey import Survey, survey

SERVICE = "fastroute/fastroute"  # as the chart and the kustomize base name it


def read_cluster(
    kubeconfig: Path | None, context: str | None, controller_name: str, applied: Collection[Resource] = ()
) -> Survey:
    """Raises SettingError without credentials, and ApiError if the API server cannot be reached."""
    account = Account(kubeconfig, context)
    return trio.run(_read, account, controller_name, applied)


async def _read(account: Account, controller_name: str, applied: Collection[Resource]) -> Survey:
    try:
        return await survey(Client(account), account.namespace, controller_name, applied)
    except* Exception as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]  # of several kinds that cannot be read, the first one is enough
        raise error from None


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
