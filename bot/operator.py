"""What an operator does from the command line: check, scan, members, grant, revoke."""

import asyncio
import functools
import getpass
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import click
from sqlalchemy import select

from bot import platforms
from core import access, catalogue, errors, grants, models, places, rights, settings, stack
from core import members as people
from core.market import exchange
from core.signals import scan as scans

Check = Callable[[stack.Stack], Awaitable[str]]


class Chats:
    """The platforms for the time of a check; each is started once, when the first line needs it."""

    def __init__(self, held: stack.Stack) -> None:
        self._held = held
        self._begun: dict[str, asyncio.Task[None]] = {}
        self._all: dict[str, platforms.Platform] = {}

    def enabled(self) -> list[str]:
        """The names of those that are switched on."""
        self._all = self._all or {one.name: one for one in platforms.enabled(self._held)}
        return list(self._all)

    async def started(self, name: str) -> platforms.Platform:
        """The platform knows us; raises what its start raised, each time."""
        if name not in self.enabled():
            raise errors.SignalStackError(f"{name} is not switched on; set {name.upper()}_BOT_TOKEN")
        if name not in self._begun:
            self._begun[name] = asyncio.create_task(self._all[name].start())
        await self._begun[name]
        return self._all[name]

    async def stop(self) -> None:
        """Nothing is connected any more."""
        for name in self._begun:
            await self._all[name].stop()


async def check(held: stack.Stack, payments: Check) -> int:
    """Each thing that is needed has said one line about itself; 1 when something needed does not work."""
    book = held.catalogue
    click.echo(f"  ok   configuration: {len(book.watches)} watches, plans {', '.join(p.name for p in book.plans)}")
    chats = Chats(held)
    try:
        return 0 if await _lines(held, _checks(book, chats, payments)) else 1
    finally:
        await chats.stop()


def _checks(book: catalogue.Catalogue, chats: Chats, payments: Check) -> dict[str, Check]:
    record = {"telegram": book.record.telegram, "discord": book.record.discord}
    return {
        "database": _check_database,
        "redis": _check_redis,
        "market": _check_market,
        "chat": functools.partial(_check_chat, chats),
        **{
            f"record on {name}": functools.partial(_check_record, chats, name, channel)
            for name, channel in record.items()
            if channel
        },
        **{f"intake {intake.key}": functools.partial(_check_intake, intake.key) for intake in book.intakes},
        "payments": payments,
    }


async def _lines(held: stack.Stack, checks: Mapping[str, Check]) -> bool:
    good = True
    for name, one in checks.items():
        try:
            click.echo(f"  ok   {name}: {await one(held)}")
        except Exception as error:  # noqa: BLE001 - each line stands for itself, whatever a library raises
            said = str(error) if isinstance(error, errors.SignalStackError) else f"{type(error).__name__}: {error}"
            click.echo(f"  FAIL {name}: {said.splitlines()[0][:300]}")
            good = False
    return good


async def _check_database(held: stack.Stack) -> str:
    import migrations  # noqa: PLC0415 - Alembic is needed here only

    if await migrations.pending(held.db):
        if held.db.dialect != "sqlite":
            raise errors.SignalStackError("reachable, but its shape is old; run: signalstack migrate")
        await migrations.upgrade(held.db)
        return "SQLite, brought up to date"
    return f"{held.db.dialect}, reachable and up to date"


async def _check_redis(held: stack.Stack) -> str:
    if held.redis is None:
        return "not used (one process)"
    await held.redis.ping()
    return "reachable"


async def _check_market(held: stack.Stack) -> str:
    seen = []
    async with exchange.Exchanges(api_url=held.settings.exchange_api_url) as exchanges:
        for name, symbol in sorted({(watch.exchange, watch.symbol) for watch in held.catalogue.watches}):
            tick = await exchanges[name].tick(symbol)
            seen.append(f"{name} {symbol} (tick {tick:f})")
    return ", ".join(seen)


async def _check_chat(chats: Chats, held: stack.Stack) -> str:
    found = chats.enabled()
    if not found:
        raise errors.SignalStackError("no platform is switched on; set TELEGRAM_BOT_TOKEN or DISCORD_BOT_TOKEN")
    seen = []
    for name in found:
        platform = await chats.started(name)
        seen += [f"{name} knows the bot", *await _look_at_places(held, platform)]
    return ", ".join(seen)


async def _check_record(chats: Chats, name: str, channel: str, _: stack.Stack) -> str:
    """Whether the head of the record can be posted in this channel, once a day."""
    platform = await chats.started(name)
    if missing := await platform.hindered(channel):
        raise errors.SignalStackError(" ".join(missing))
    return f"the bot may post in {channel}"


async def _check_intake(key: str, held: stack.Stack) -> str:
    """Whether alerts of this source can be told from those of strangers; its secret is not shown."""
    if len(held.settings.intake_keys.get(key, "")) < settings.SHORTEST:
        raise errors.SignalStackError(
            f"its secret is missing; add {key}=SECRET with at least {settings.SHORTEST} characters to INTAKE_SECRETS"
        )
    return f"its secret is there; alerts go to {held.settings.public_url}/intake/{key}"


async def _look_at_places(held: stack.Stack, platform: platforms.Platform) -> list[str]:
    """Which gated places are in order; raises SignalStackError with what is missing in the others."""
    async with held.db.transaction() as session:
        await places.sync(session, held.catalogue, now=held.clock())
        found = await places.active(session, platform.name)
    missing = [f"{place.name}: {' '.join(faults)}" for place in found if (faults := await platform.inspect(place))]
    if missing:
        raise errors.SignalStackError(" ".join(missing))
    return [f"the place {place.name} is in order" for place in found]


async def scan(held: stack.Stack) -> int:
    """Every watch was looked at once, and what was decided is printed."""
    async with exchange.Exchanges(api_url=held.settings.exchange_api_url) as exchanges:
        verdicts = await scans.Scan(held, exchanges).run()
    for verdict in verdicts:
        made = f" → signal #{verdict.signal}" if verdict.signal else ""
        ended = f" (ended: {', '.join(f'#{number}' for number in verdict.ended)})" if verdict.ended else ""
        click.echo(f"{verdict.watch}: {verdict.note}{made}{ended}")
    if not verdicts:
        click.echo("Nothing closed since the last scan.")
    return 1 if any(verdict.failed for verdict in verdicts) else 0


def _plan(book: catalogue.Catalogue, key: str | None) -> catalogue.Plan:
    if key is None and len(book.plans) == 1:
        return book.plans[0]
    if key not in book.by_key:
        raise errors.RefusedError(f"Name one of the plans: {', '.join(sorted(book.by_key))}.")
    return book.by_key[key]


async def grant(held: stack.Stack, who: str, plan_key: str | None, days: int | None) -> int:
    """The member has the plan, was told, and gets the open signals."""
    now, plan = held.clock(), _plan(held.catalogue, plan_key)
    until = now + timedelta(days=days) if days else None
    async with held.db.transaction() as session:
        identity = await people.named(session, who)
        by = f"cli:{getpass.getuser()}"
        await grants.grant(session, identity.member_id, plan, held.catalogue, until=until, by=by, now=now)
    held.deliver()
    click.echo(
        f"{_name(identity)} has {plan.name} {f'until {until:%Y-%m-%d %H:%M} UTC' if until else 'until revoked'}."
    )
    return 0


async def revoke(held: stack.Stack, who: str, plan_key: str | None) -> int:
    """Grants of the plan have ended for the member; 1 when there was none."""
    now, plan = held.clock(), _plan(held.catalogue, plan_key)
    async with held.db.transaction() as session:
        identity = await people.named(session, who)
        ended = await grants.revoke(session, identity.member_id, plan, by=f"cli:{getpass.getuser()}", now=now)
        still = plan.key in await rights.plans_of(session, identity.member_id, now=now)
    held.deliver()
    if not ended:
        click.echo(f"{_name(identity)} has no grant of {plan.name}; nothing changed.", err=True)
        return 1
    kept = " A paid subscription still opens it." if still else ""
    click.echo(f"{_name(identity)} has no grant of {plan.name} any more.{kept}")
    return 0


async def members(held: stack.Stack, *, everybody: bool, as_json: bool) -> int:
    """One line for each member: who, which plans, until when, blocked or muted."""
    async with held.db.reading() as session:
        there = select(models.Identity).join(models.Member).where(models.Member.deleted_at.is_(None))
        rows = (await session.scalars(there.order_by(models.Identity.id))).all()
        shown = 0
        for identity in rows:
            now = held.clock()
            standing = await access.standing(session, identity.member_id, held.catalogue, now=now)
            if everybody or standing.paying:
                shown += 1
                click.echo(_as_json(identity, standing) if as_json else _as_line(identity, standing))
    if not shown and not as_json:
        click.echo("No members with access yet." if rows else "Nobody has written to the bot yet.")
    return 0


def _name(identity: models.Identity) -> str:
    at = f" @{identity.username}" if identity.username else ""
    return f"{identity.name or 'unnamed'}{at} ({identity.platform}:{identity.external_id})"


def _as_line(identity: models.Identity, standing: access.Standing) -> str:
    plans = [f"{h.plan.name} {_until(h.until)}, {h.status}" for h in standing.holdings] or ["no access"]
    marks = [mark for mark, on in (("muted", standing.muted), ("blocked", identity.blocked_at is not None)) if on]
    return "  ".join([_name(identity), "; ".join(plans), *marks])


def _until(moment: datetime | None) -> str:
    return f"until {moment:%Y-%m-%d %H:%M} UTC" if moment else "without end"


def _as_json(identity: models.Identity, standing: access.Standing) -> str:
    holdings = [
        {"plan": h.plan.key, "until": h.until.isoformat() if h.until else None, "status": h.status, "source": h.source}
        for h in standing.holdings
    ]
    facts = {"platform": identity.platform, "id": identity.external_id, "name": identity.name, "plans": holdings}
    return json.dumps({**facts, "muted": standing.muted, "blocked": identity.blocked_at is not None})
