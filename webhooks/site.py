"""The site: what every page and handler shares, how a page is drawn, and how a browser is kept safe on it."""

import functools
import hashlib
import http
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import orjson
from aiohttp import web

from core import catalogue, log, look, stack
from core.billing import plans
from webhooks import limits, payments, words
from webhooks.metrics import Metrics
from webhooks.tray import Tray

_FOLDER = resources.files("webhooks").joinpath("pages")
_FILES = {"site.css": "text/css", "buying.css": "text/css", "mark.svg": "image/svg+xml", "live.js": "text/javascript"}
_OURS = (catalogue.Service().colour, catalogue.Service().colour_dark)
_COLOURS = ":root{--accent:%s;--on-accent:%s}@media(prefers-color-scheme:dark){:root{--accent:%s;--on-accent:%s}}"


class Assets(NamedTuple):
    """The site's own files as (media type, bytes), a name for their content, and which one is the logo."""

    files: Mapping[str, tuple[str, bytes]]
    version: str
    logo: str


@functools.lru_cache(maxsize=16)
def assets(service: catalogue.Service) -> Assets:
    """The site's files in the operator's colours and with the operator's logo; raises ConfigError without that."""
    found = {name: (kind, _FOLDER.joinpath(name).read_bytes()) for name, kind in _FILES.items()}
    if (service.colour, service.colour_dark) != _OURS:
        light, dark = service.colour, service.colour_dark
        own = _COLOURS % (light, look.ink(light), dark, look.ink(dark))
        found["site.css"] = ("text/css", found["site.css"][1] + own.encode())
        found["mark.svg"] = ("image/svg+xml", found["mark.svg"][1].replace(_OURS[0].encode(), light.encode()))
    if service.logo:
        found["logo"] = look.logo(Path(service.logo))
    version = hashlib.sha256(b"".join(body for _, body in found.values())).hexdigest()[:12]
    return Assets(found, version, "logo" if service.logo else "mark.svg")


@dataclass(frozen=True, slots=True)
class Site:
    """What handlers work with; there are no `providers` where members cannot pay."""

    stack: stack.Stack
    providers: tuple[payments.Provider, ...]
    metrics: Metrics = field(default_factory=Metrics)
    limiter: limits.Limits = field(default_factory=limits.Limits)
    tray: Tray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tray", Tray(self.stack))

    @property
    def now(self) -> datetime:
        """This moment by the stack's clock."""
        return self.stack.clock()

    def provider(self, name: str) -> payments.Provider | None:
        """The provider of this name, if it is switched on."""
        return next((one for one in self.providers if one.name == name), None)


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
        ago=words.ago, day=words.day, moment=words.moment, span=words.span, plain=words.plain, signed=words.signed
    )
    environment.filters["others"] = plans.others
    return environment


_pages = _environment()


def page(request: web.Request, name: str, *, status: int = 200, **facts: Any) -> web.Response:
    """The page `name` with these facts, for people."""
    return web.Response(text=drawn(of(request), name, **facts), status=status, content_type="text/html")


def drawn(site: Site, name: str, **facts: Any) -> str:
    """The text of the page `name` with these facts."""
    service = site.stack.catalogue.service
    return _pages.get_template(f"{name}.html").render(
        {"service": service, "assets": assets(service), "now": site.now, **facts}
    )


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
        **({"request": named} if (named := log.request()) else {}),
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


ANONYMOUS = {"Server": "SignalStack"}
"""Which versions of what answer here is nobody's business."""


def safe_headers(site: Site) -> dict[str, str]:
    """What tells a browser that pages run no script but ours, load nothing from elsewhere and are in nobody's frame."""
    # Browsers hold redirects of a form against form-action too, so the provider's pages are named there.
    targets = " ".join(("'self'", *(origin for provider in site.providers for origin in provider.origins)))
    headers = {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
        f"img-src 'self'; base-uri 'none'; form-action {targets}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
    if site.stack.settings.public_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
