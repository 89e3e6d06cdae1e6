"""Parameters of a request for a list: which page of which items is asked for."""

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from fastroute.view.answers import PROBLEMS
from fastroute.view.choice import MOST_BACKENDS, Choice, words_of
from fastroute.view.openapi import Resource
from fastroute.view.paging import MOST, USUAL, Window


def window_of(parameters: QueryParams, resource: Resource) -> Window:
    """Raises HTTPException. Parameters that the resource does not have are ignored."""
    text = parameters.get("limit", str(USUAL))
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST):
        raise HTTPException(400, f"limit is not a number from 1 to {MOST}")
    given = QueryParams([one for one in parameters.multi_items() if one[0] in resource.chosen_by])
    return Window(parameters.get("after", ""), int(text), _choice(given))


def _choice(given: QueryParams) -> Choice:
    if given.get("problems", "false") not in ("true", "false"):
        raise HTTPException(400, "problems is neither true nor false")
    if given.get("type", "") not in ("", *PROBLEMS):
        raise HTTPException(400, f"type is none of {', '.join(PROBLEMS)}")
    if "listener" in given and "gateway" not in given:
        raise HTTPException(400, "listener needs gateway: a name of a listener alone is not unique")
    if len(backends := given.getlist("backend")) > MOST_BACKENDS:
        raise HTTPException(400, f"at most {MOST_BACKENDS} backends are answered at a time")
    return Choice(
        search=words_of(given.get("search", "")),
        gateway=given.get("gateway", ""),
        listener=given.get("listener", ""),
        problems=given.get("problems") == "true",
        type=given.get("type", ""),
        backend=tuple(backends),
    )
