"""Asks the admin API of a running gateway. Its answers are those of view/answers.py."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from fastroute.errors import FastrouteError, SettingError
from fastroute.explain.explanation import Explanation
from fastroute.secrecy import shown_url
from fastroute.view.answers import (
    Backends,
    Certificates,
    Error,
    Gateways,
    Overview,
    Page,
    Routes,
    Status,
)
from fastroute.view.openapi import ROOT
from fastroute.view.paging import MOST

USUAL = "http://127.0.0.1:9901"
PATIENCE = 30.0  # seconds

Answer = TypeVar("Answer")


class AskingError(FastrouteError):
    """The gateway does not answer as asked; exit code 2."""


def admin_url(text: str) -> str:
    """The URL of an admin API without a final slash: a URL, or an address and port as in `serve --admin`.

    >>> admin_url("127.0.0.1:9901"), admin_url("http://localhost:8080/"), admin_url("[::]:9901")
    ('http://127.0.0.1:9901', 'http://localhost:8080', 'http://[::1]:9901')
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingError(f"{shown_url(text)!r} is not a URL: its host or port is malformed") from None
    if parts.username is not None:
        raise SettingError(f"{shown_url(text)!r} has a user name, but the admin API has no authentication: omit it")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingError(f"{shown_url(text)!r} is not the URL of an admin API: write it as {USUAL}")
    host = {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(parts.hostname, parts.hostname)  # noqa: S104 (not bound)
    number = "" if port is None else f":{port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{number}"


class Asker:
    """One gateway."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(timeout=PATIENCE, retries=False)

    def overview(self) -> Overview:
        """Raises AskingError, as all methods do."""
        return Overview(
            status=self._get("status", (), Status),
            gateways=tuple(one for page in self._pages("gateways", Gateways) for one in page.items),
            routes=tuple(one for page in self._pages("routes", Routes) for one in page.items),
            endpoints=tuple(one for page in self._pages("endpoints", Backends) for one in page.items),
            certificates=tuple(one for page in self._pages("certificates", Certificates) for one in page.items),
        )

    def explanation(
        self, method: str | None, url: str, headers: Iterable[tuple[str, str]], gateways: Iterable[str]
    ) -> Explanation:
        parameters = [("url", url), *((("method", method),) if method else ())]
        parameters += [("header", f"{name}: {value}") for name, value in headers]
        parameters += [("gateway", name) for name in gateways]
        return self._get("explain", parameters, Explanation)

    def _pages(self, resource: str, kind: type[Answer]) -> Iterator[Answer]:
        after: str | None = ""
        while after is not None:
            page: Any = self._get(resource, (("limit", str(MOST)), ("after", after)), kind)
            yield page
            assert isinstance(page, Page)
            after = page.next

    def _get(self, resource: str, parameters: Sequence[tuple[str, str]], kind: type[Answer]) -> Answer:
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            answer = self._pool.request("GET", f"{self._url}{ROOT}{resource}{query}", redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise AskingError(
                f"nothing answers at {self._url} ({_why(error)}). Start `fastroute serve`, or set --admin to its admin "
                "address. For a pod, first run `kubectl -n fastroute port-forward deployment/fastroute 9901`"
            ) from error
        if answer.status != 200:
            raise AskingError(f"{self._url} answers {answer.status}: {_refusal(answer.data)}")
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except msgspec.DecodeError as error:
            raise AskingError(f"{self._url} answers, but not as the admin API of this version: {error}") from error


def _why(error: Exception) -> str:
    """The text of the operating system, if there is one."""
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    system = next((one.strerror for one in causes if isinstance(one, OSError) and one.strerror), None)
    return system or type(error).__name__


def _refusal(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Error).error
    except msgspec.DecodeError:
        return "it is not the admin API of fastroute"
