"""Role "webhooks": the site, and the loops that turn what the payment provider says into access."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiohttp import web

from core import errors
from core.billing import looks as wishes
from core.stack import Stack
from webhooks import (
    billing,
    change,
    checkout,
    errands,
    events,
    gifts,
    guard,
    hooks,
    hub,
    intake,
    invitations,
    leaflets,
    limits,
    listener,
    live,
    looks,
    loops,
    payments,
    prices,
    questions,
    reconcile,
    record,
    seats,
    site,
    status,
    sweep,
    telegram,
    traced,
)
from webhooks.api import answering, reference, stream
from webhooks.api import table as api

_LAST_SECONDS = 12
log = structlog.get_logger()


def build(stack: Stack, *, counters: limits.Limits | None = None) -> web.Application:
    """The site as an application; it closes its provider when it is cleaned up."""
    app = web.Application(client_max_size=guard.LIMIT)
    guard.add_to(app, stack.settings)
    traced.add_to(app)
    counters = counters or limits.Limits(stack.settings.redis_url.get_secret_value())
    here = site.Site(stack, payments.opened(stack.settings, stack.catalogue), limiter=counters)
    app[site.KEY] = here
    status.add_to(app)
    app.router.add_get("/healthz", status.alive)
    app.router.add_get("/readyz", guard.shared(status.ready))
    app.router.add_get("/metrics", guard.private(status.figures))
    for part in (live, leaflets, record, billing, checkout, gifts, seats, invitations, change):
        part.add_to(app)
    app.router.add_post("/webhooks/telegram", telegram.take_update)
    app[intake.KEY] = intake.Gate(stack)
    app.router.add_post("/intake/{source}", intake.take)
    answering.add_to(app, api.ENDPOINTS)
    stream.add_to(app, hub.Hub(stack))
    hooks.add_to(app)
    reference.add_to(app)

    async def close(_: web.Application) -> None:
        for provider in here.providers:
            await provider.close()
        await here.limiter.close()

    app.on_cleanup.append(close)
    return app


async def run(stack: Stack, stop: asyncio.Event) -> None:
    """The site answers and the loops work until `stop` is set; then requests in flight and the current items end first.

    Raises ConfigError when the address cannot be listened on. An unreachable database or provider stops nothing.
    """
    app = build(stack)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=8)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - it was just made
    port = listener.Listener(runner.server, spared=stack.settings.proxies, refused=app[site.KEY].metrics.cut)
    try:
        await _listen(port, stack)
        await _work(app, stop)
    finally:
        port.close()
        await runner.cleanup()


async def _listen(port: listener.Listener, stack: Stack) -> None:
    conf = stack.settings
    try:
        await port.open(conf.host, conf.port)
    except OSError as error:
        raise errors.ConfigError(
            f"HOST and PORT: cannot listen on {conf.host}:{conf.port}: {error.strerror}."
        ) from error
    log.info("webhooks_listening", host=conf.host, port=conf.port, public_url=conf.public_url)


async def _work(app: web.Application, stop: asyncio.Event) -> None:
    work = {asyncio.create_task(loop.run(), name=loop.name) for loop in _loops(app, stop)}
    stopped = asyncio.create_task(stop.wait())
    try:
        # A loop ends before the stop only by a fault of its own, which must not go unseen.
        await asyncio.wait({stopped, *work}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.wait(work, timeout=_LAST_SECONDS)
    finally:
        for task in (stopped, *work):
            task.cancel()
        results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def _loops(app: web.Application, stop: asyncio.Event) -> Iterator[loops.Loop]:
    here, streams, sender = app[site.KEY], app[hub.KEY], app[hooks.KEY]
    yield loops.Loop(here, stop, "site", _answering, every=15)
    yield loops.Loop(here, stop, "stream", streams.step, every=1, topic="record", last=streams.close)
    yield loops.Loop(here, stop, "hooks", sender.step, every=2, topic=hooks.TOPIC, last=sender.stop)
    for provider in here.providers:
        yield from _paying(here, provider, stop)


def _paying(here: site.Site, provider: payments.Provider, stop: asyncio.Event) -> Iterator[loops.Loop]:
    """What is done for one payment provider; the first one's parts are named as if there were no other."""
    suffix = "" if provider is here.providers[0] else f".{provider.name}"
    sweeping = sweep.Sweep(here, provider)
    comparing = reconcile.Reconcile(here, provider, part=f"webhooks.reconcile{suffix}")

    def loop(name: str, step: Callable[[], Awaitable[object]], every: float, **more: Any) -> loops.Loop:
        return loops.Loop(here, stop, name + suffix, step, every=every, **more)

    yield loop("inbox", lambda: events.work_off(here, provider), 2, topic=f"inbox:{provider.inbox}")
    wished = f"inbox:{wishes.source(provider.name)}"
    yield loop("looks", lambda: looks.work_off(here, provider), 2, topic=wished, beats=False)
    if provider.asks:
        yield loop("questions", lambda: questions.work_off(here, provider), 1, topic=f"inbox:{provider.asks}")
    yield loop("errands", lambda: errands.work_off(here, provider), 5, topic=f"errands:{provider.name}", beats=False)
    yield loop("prices", lambda: prices.refresh(here, provider), 3600, beats=False)
    yield loop("sweep", sweeping.round, 60, beats=False, last=sweeping.stop)
    yield loop("reconcile", comparing.step, 15, beats=False, last=comparing.stop)


async def _answering() -> None:
    """The site's heartbeat says that this process still gets round to its turn, requests included."""
