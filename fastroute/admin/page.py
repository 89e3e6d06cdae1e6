"""The dashboard: a page of few files, which asks the admin API. It is built from dashboard/ (`make dashboard`).

Users choose the names and messages in answers. Therefore the Content-Security-Policy allows only the script of this
page, requests only to this address, and no markup from a script (Trusted Types).
"""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
FIELDS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard.svg": ("dashboard.svg", "image/svg+xml"),
}


def page_routes() -> list[Route]:
    folder = files("fastroute.admin") / "page"
    return [_route(path, (folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()]


def _route(path: str, content: bytes, kind: str) -> Route:
    async def show(request: Request) -> Response:
        return Response(content, 200, FIELDS | {"content-type": kind})

    return Route(path, show)
