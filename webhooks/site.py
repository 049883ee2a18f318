"""The site: what every page and handler shares, how a page is drawn, and how a browser is kept safe on it."""

import hashlib
import http
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any

import jinja2
import orjson
from aiohttp import web

from core import stack
from webhooks import limits, payments, words
from webhooks.metrics import Metrics

_FOLDER = resources.files("webhooks").joinpath("pages")
STATIC = {
    "site.css": ("text/css", _FOLDER.joinpath("site.css").read_bytes()),
    "mark.svg": ("image/svg+xml", _FOLDER.joinpath("mark.svg").read_bytes()),
}


@dataclass(frozen=True, slots=True)
class Site:
    """What handlers work with; `provider` is None where members cannot pay."""

    stack: stack.Stack
    provider: payments.Provider | None
    metrics: Metrics = field(default_factory=Metrics)
    limiter: limits.Limits = field(default_factory=limits.Limits)

    @property
    def now(self) -> datetime:
        """This moment by the stack's clock."""
        return self.stack.clock()


KEY = web.AppKey("site", Site)


def of(request: web.Request) -> Site:
    """The site that this request came to."""
    return request.app[KEY]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("webhooks", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        ago=words.ago, day=words.day, moment=words.moment, plain=words.plain, signed=words.signed
    )
    environment.globals["version"] = hashlib.sha256(b"".join(body for _, body in STATIC.values())).hexdigest()[:12]
    return environment


_pages = _environment()


def page(request: web.Request, name: str, *, status: int = 200, **facts: Any) -> web.Response:
    """The page `name` with these facts, for people."""
    site = of(request)
    text = _pages.get_template(f"{name}.html").render(service=site.stack.catalogue.service, now=site.now, **facts)
    return web.Response(text=text, status=status, content_type="text/html")


def message(request: web.Request, title: str, text: str, *, status: int = 200) -> web.Response:
    """A plain page that says one thing."""
    return page(request, "message", status=status, title=title, text=text)


def problem(code: str, text: str, *, status: int) -> web.Response:
    """An error for programs, as our contract says it and, beside that, as RFC 9457 does."""
    said = {
        "error": {"code": code, "message": text},
        "type": f"/docs#error-{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
    }
    answer = json(said, status=status)
    answer.content_type = "application/problem+json"
    return answer


def json(body: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """The body as JSON."""
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def elsewhere(url: str) -> web.Response:
    """The browser goes on to this address with a GET."""
    return web.Response(status=303, headers={"Location": url})


def safe_headers(site: Site) -> dict[str, str]:
    """What tells a browser that our pages run no script, load nothing from elsewhere and stand in nobody's frame."""
    # Browsers hold redirects of a form against form-action too, so the provider's pages are named there.
    targets = " ".join(("'self'", *(site.provider.origins if site.provider else ())))
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"form-action {targets}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if site.stack.settings.public_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
