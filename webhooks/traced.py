"""Each request as a span of its trace, where traces are on; named by its pattern, so tokens never become part of it."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from core import log, tracing

_STREAMS = frozenset({"/live", "/api/v1/ws"})
"""Whose requests last for hours, each the parent of thousands of others."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_to(app: web.Application) -> None:
    """Requests are traced behind the guard, which has named them; without traces nothing is added."""
    if tracing.on():
        app.middlewares.append(traced)


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The request is a span, and what it causes belongs to its trace."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "unknown"
    if route in _STREAMS:
        return await handler(request)
    async with tracing.span("request", log.request(), begins=True, method=request.method, route=route):
        return await handler(request)
