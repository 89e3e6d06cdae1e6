"""The admin API: JSON about what the gateway serves, for operators (view/), and the dashboard. Only GET and HEAD.

It runs in a thread of its own, so that neither the main loop nor a worker waits for it. What it reads is frozen, except
counters and the states of processes, which any thread may read. But the thread needs the GIL. So one answer is made at
a time (answers.py), and the main loop always has most of the time.
"""

import logging
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fastroute import notation
from fastroute.admin.answers import Answers
from fastroute.admin.host import may_name
from fastroute.admin.loop import came_through
from fastroute.admin.page import page_routes
from fastroute.admin.probe import MOST_ADMIN, Site
from fastroute.admin.window import window_of
from fastroute.errors import SettingError
from fastroute.explain.question import parse_question
from fastroute.view.answers import Error
from fastroute.view.hidden import hidden_explanation
from fastroute.view.openapi import DOCUMENT, EXPLAIN, RESOURCES, ROOT, Resource, openapi
from fastroute.view.paging import Window
from fastroute.view.state import State

_log = logging.getLogger(__name__)
FIELDS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
}

See = Callable[[], State | None]  # None: nothing is served yet. Any thread may call it


@dataclass(frozen=True)
class Access:
    """Which requests are answered."""

    names: Container[str] = ()  # of --admin-host, as notation.host returns them
    installation: str = ""  # a request with it in Fastroute-Loop came through this gateway


LOCAL = Access()


def admin_app(see: See, access: Access = LOCAL) -> Site:
    kept, document = Answers(), msgspec.json.encode(openapi())

    async def describe(request: Request) -> Response:
        return _json(document)

    async def tell(request: Request) -> Response:
        return _json(await kept.get(None, lambda: _encoded(lambda: _explained(_state(see), request))))

    routes = [*page_routes(), Route(DOCUMENT, describe), Route(ROOT + EXPLAIN, tell)]
    routes += [Route(ROOT + one.name, _route(one, see, kept)) for one in RESOURCES]
    application = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    application.router.redirect_slashes = False  # a redirect would name the Host of the client
    return Site(_Guard(application, access), {}, MOST_ADMIN)


def _route(resource: Resource, see: See, kept: Answers) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        window = window_of(request.query_params, resource) if resource.paged else Window()
        asked = f"{resource.name} {window}"
        return _json(await kept.get(asked, lambda: _encoded(lambda: resource.view(_state(see), window))))

    return answer


def _encoded(make: Callable[[], Any]) -> bytes:
    try:
        return msgspec.json.encode(make())
    except HTTPException:
        raise
    except Exception as error:
        _log.exception("the admin API could not make an answer")
        raise HTTPException(500, "the answer could not be made; the log of the gateway says why") from error


class _Guard:
    """Refuses requests that name another host, and those that this gateway forwarded."""

    def __init__(self, application: Any, access: Access) -> None:
        self._application, self._access = application, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    def _refusal(self, scope: Any) -> Response | None:
        request = Request(scope)
        arrived_at = (scope.get("server") or ("",))[0]
        if not may_name(request.headers.getlist("host"), arrived_at, self._access.names):
            text = "this address does not answer for that Host: use its address or localhost, or add --admin-host NAME"
            return _error(421, text)
        if came_through(request, self._access.installation):
            return _error(403, "the admin API is not available through this gateway")
        return None


def _state(see: See) -> State:
    state = see()
    if state is None:
        raise HTTPException(503, "nothing is served yet")
    return state


def _explained(state: State, request: Request) -> Any:
    asked = request.query_params
    try:
        headers = notation.headers(asked.getlist("header"))
        gateways = [notation.object_name(text) for text in asked.getlist("gateway")]
        question = parse_question(asked.get("method") or None, asked.get("url", ""), headers)
    except SettingError as error:
        raise HTTPException(400, str(error)) from error
    return hidden_explanation(question.answer(state.snapshot, state.graph, gateways))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: f"there is no such resource: {DOCUMENT} lists them", 405: "only GET is answered"}
    return _error(error.status_code, texts.get(error.status_code, error.detail), error.headers)


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return _json(msgspec.json.encode(Error(text)), status, headers)


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, {**FIELDS, **(headers or {})}, "application/json")
