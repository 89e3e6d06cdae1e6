"""The resources of the admin API, and the OpenAPI document (3.1) that describes them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from fastroute import __version__
from fastroute.explain.explanation import Explanation
from fastroute.view import answers
from fastroute.view.certificates import certificates
from fastroute.view.choice import MOST_BACKENDS
from fastroute.view.config import config
from fastroute.view.endpoints import endpoints
from fastroute.view.gateways import gateways
from fastroute.view.paging import MOST, USUAL, Window
from fastroute.view.problems import problems
from fastroute.view.routes import routes
from fastroute.view.state import State
from fastroute.view.summary import status, workers

ROOT = "/api/v1/"
EXPLAIN = "explain"
DOCUMENT = "/api/openapi.json"


class Resource(NamedTuple):
    name: str
    summary: str
    answer: type
    view: Callable[[State, Window], Any]
    paged: bool = True
    chosen_by: tuple[str, ...] = ()  # the parameters of a Choice that it has


RESOURCES = (
    Resource("status", "The gateway in short, with refused references", answers.Status, status, paged=False),
    Resource("config", "What the workers serve, or will serve as soon as none is late", answers.Config, config),
    Resource("gateways", "Gateways with their listeners", answers.Gateways, gateways, chosen_by=("search",)),
    Resource(
        "routes",
        "Routes with shares, rates, errors and latencies",
        answers.Routes,
        routes,
        chosen_by=("search", "gateway", "listener", "problems"),
    ),
    Resource("endpoints", "Backends with their endpoints", answers.Backends, endpoints, chosen_by=("backend",)),
    Resource(
        "certificates", "Certificates with their validity", answers.Certificates, certificates, chosen_by=("search",)
    ),
    Resource(
        "problems",
        "Problems of all kinds: routes, Gateways, policies, certificates, grants",
        answers.Problems,
        problems,
        chosen_by=("search", "type"),
    ),
    Resource("workers", "Worker processes", answers.Workers, workers),
)
BY_NAME: Mapping[str, Resource] = {one.name: one for one in RESOURCES}

ERRORS = {
    "400": "A parameter is wrong",
    "403": "The request came through the gateway",
    "404": "There is no such resource",
    "405": "Only GET and HEAD are answered",
    "421": "The Host is not one of this address",
    "500": "The answer could not be made; the log says why",
    "503": "Nothing is served yet, or too many questions wait",
}
LIMIT = f"Maximum number of items (default {USUAL}). A page of long items has fewer; `next` leads to the others"
PAGED = (
    ("limit", LIMIT, {"type": "integer", "minimum": 1, "maximum": MOST}, False),
    ("after", "`next` of the page before", {"type": "string"}, False),
)
LIST = {"type": "array", "items": {"type": "string"}}
CHOSEN = {
    "search": ("Only items with all these words in their names: of the object, hosts, backends", {"type": "string"}),
    "gateway": ("Only routes that are attached to this Gateway: namespace/name", {"type": "string"}),
    "listener": ("Only routes that are attached to this listener of `gateway`", {"type": "string"}),
    "type": ("Only problems of this type", {"type": "string", "enum": list(answers.PROBLEMS)}),
    "problems": ("Only routes with a problem, or that fail now", {"type": "string", "enum": ["true", "false"]}),
    "backend": (f"Only this backend: namespace/name:port; repeatable, at most {MOST_BACKENDS}", LIST),
}
ASKED = (
    ("url", "http, https: a URL; tcp://ADDRESS:PORT, tls://NAME:PORT, udp://ADDRESS:PORT", {"type": "string"}, True),
    ("method", "Of a request: GET, POST", {"type": "string"}, False),
    ("header", "`Name: value`; repeatable", LIST, False),
    ("gateway", "Only this Gateway: namespace/name; repeatable", LIST, False),
)


def openapi() -> dict[str, Any]:
    types = [*(one.answer for one in RESOURCES), Explanation, answers.Error]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    *found, explanation, error = schemas
    paths = {
        ROOT + one.name: _operation(one.name, one.summary, _parameters(one), schema, error)
        for one, schema in zip(RESOURCES, found, strict=True)
    }
    about = "Where a request, connection or datagram goes, and why not elsewhere"
    paths[ROOT + EXPLAIN] = _operation(EXPLAIN, about, ASKED, explanation, error)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The admin API of fastroute", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


def _parameters(resource: Resource) -> Iterator[tuple[str, str, Any, bool]]:
    yield from PAGED if resource.paged else ()
    for name in resource.chosen_by:
        yield name, *CHOSEN[name], False


def _operation(name: str, summary: str, parameters: Any, schema: Any, error: Any) -> dict[str, Any]:
    shown = [
        {"name": parameter, "in": "query", "description": text, "required": required, "schema": accepted}
        for parameter, text, accepted, required in parameters
    ]
    errors = {code: _response(text, error) for code, text in ERRORS.items()}
    responses = {"200": _response(summary, schema), **errors}
    return {"get": {"operationId": name, "summary": summary, "parameters": shown, "responses": responses}}


def _response(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
