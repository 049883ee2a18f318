"""What the outbox costs in PostgreSQL: planning one signal for everybody, and claiming, beginning and settling rows."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncpg
from sqlalchemy import make_url, text

from core import access, catalogue, db
from core.delivery import claims, fanout, outcomes
from core.models import State
from tests import databases
from tests.bench import stage, table
from tests.core import people

PLANNED = table.Goal("ratio", "≥", 0.6)
SETTLED = table.Goal("ratio", "≥", 0.85)
BOOK = catalogue.Catalogue(plans=(catalogue.Plan(key="signals", name="Signals"),))
LEASE = 30.0

_MEMBERS = "INSERT INTO members (id, created_at, muted) SELECT n, now(), false FROM generate_series(1, {size}) AS n"
_IDENTITIES = (
    "INSERT INTO identities (member_id, platform, external_id, address, name, created_at) "
    "SELECT n, 'telegram', n::text, n::text, 'Member ' || n, now() FROM generate_series(1, {size}) AS n"
)
_SUBSCRIPTIONS = (
    "INSERT INTO subscriptions (provider, external_id, member_id, customer_id, plan, status, snapshot, access_until, "
    "created_at, read_at, told) SELECT 'stripe', 'sub_' || n, n, 'cus_' || n, 'signals', 'active', '{{}}', "
    "now() + interval '30 days', now(), now(), 'on' FROM generate_series(1, {size}) AS n"
)
_BARE_PLAN = (
    "INSERT INTO deliveries (kind, priority, signal_id, event, state, not_before, created_at, platform, address, "
    "identity_id, member_id, expires_at) SELECT 'opening', 2, {signal}, 'opened', 'pending', now(), now(), platform, "
    "address, id, member_id, now() + interval '15 minutes' FROM identities"
)
_BARE_CLAIM = (
    "UPDATE deliveries SET state = 'claimed', epoch = epoch + 1, lease_until = now() + interval '30 seconds' "
    "WHERE id IN (SELECT id FROM deliveries WHERE platform = 'telegram' AND state = 'pending' "
    "ORDER BY priority, id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, epoch, address, signal_id"
)
_BARE_BEGIN = "UPDATE deliveries SET state = 'sending' WHERE id = ANY($1::bigint[]) AND state = 'claimed' RETURNING id"
_BARE_SETTLE = (
    "UPDATE deliveries SET state = 'sent', message_id = given.message, settled_at = now(), lease_until = NULL, "
    "attempts = attempts + 1 FROM unnest($1::bigint[], $2::text[]) AS given (id, message) "
    "WHERE deliveries.id = given.id AND state = 'sending'"
)


@dataclass(frozen=True, slots=True)
class Dose:
    """Recipients of the planned signal, rows that are claimed and settled, rows at once, rounds."""

    recipients: int = 100_000
    rows: int = 20_000
    batch: int = 100
    rounds: int = 3


async def measured(maker: databases.Maker, dose: Dose) -> list[table.Row]:
    """The rows about the ledger."""
    url = maker.filled()
    plain: Any = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    database = db.Database(url)
    try:
        for statement in (_MEMBERS, _IDENTITIES, _SUBSCRIPTIONS, "ANALYZE"):
            await plain.execute(statement.format(size=dose.recipients))
        return [await _plans(database, plain, dose), await _settlements(database, plain, dose)]
    finally:
        await database.close()
        await plain.close()
        maker.drop(url)


async def _plans(database: db.Database, plain: Any, dose: Dose) -> table.Row:
    stage.say(f"  planning for {dose.recipients} recipients, {dose.rounds} rounds")
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(dose.rounds):
        bare.append(dose.recipients / await _bare_plan(database, plain))
        ours.append(dose.recipients / await _plan(database, dose.recipients))
    return table.compared(
        f"C1: planning one signal for {dose.recipients:,}", "rows/s", "bare INSERT … SELECT", ours, bare, PLANNED
    )


async def _signal(database: db.Database) -> int:
    """The number of a new signal; the outbox is empty."""
    async with database.transaction() as session:
        await session.execute(text("TRUNCATE deliveries CASCADE"))
        return (await people.signal(session, datetime.now(UTC))).id


async def _plan(database: db.Database, expected: int) -> float:
    """Seconds until every recipient has a delivery in the outbox, committed."""
    number, now = await _signal(database), datetime.now(UTC)
    began = time.perf_counter()
    async with database.transaction() as session:
        who = await access.recipients(session, BOOK, people.BTC, now=now)
        planned = await fanout.open_up(session, number, who, now=now, expires_at=now + timedelta(minutes=15))
    spent = time.perf_counter() - began
    if planned != expected:
        raise RuntimeError(f"{planned} deliveries were planned, not {expected}")
    return spent


async def _bare_plan(database: db.Database, plain: Any) -> float:
    """Seconds for the same rows without asking who may have them, in no order, and not idempotent."""
    number = await _signal(database)
    began = time.perf_counter()
    await plain.execute(_BARE_PLAN.format(signal=number))
    return time.perf_counter() - began


async def _settlements(database: db.Database, plain: Any, dose: Dose) -> table.Row:
    stage.say(f"  claiming, beginning and settling {dose.rows} rows, {dose.rounds} rounds")
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(dose.rounds):
        for rates, work in ((bare, _bare_work), (ours, _work)):
            await _planned(database, dose)
            began = time.perf_counter()
            await work(database, plain, dose.batch)
            rates.append(dose.rows / (time.perf_counter() - began))
            left = await plain.fetchval("SELECT count(*) FROM deliveries WHERE state <> 'sent'")
            if left:
                raise RuntimeError(f"{left} rows were not settled")
    what = f"C2: claim, begin, settle, {dose.batch} at once"
    return table.compared(what, "rows/s", "bare asyncpg, in bulk,", ours, bare, SETTLED)


async def _planned(database: db.Database, dose: Dose) -> None:
    """So many deliveries wait in an outbox that was just cleaned up."""
    await _plan(database, dose.recipients)
    async with database.transaction() as session:
        later = text("DELETE FROM deliveries WHERE id >= (SELECT min(id) FROM deliveries) + :rows")
        await session.execute(later, {"rows": dose.rows})
    async with database.engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text("VACUUM ANALYZE deliveries"))


async def _work(database: db.Database, plain: Any, batch: int) -> None:
    """The product's own way, with everything that it asks and checks."""
    done = outcomes.Step(State.SENT, attempts=1)
    entitled = access.entitled(BOOK, now=cast("datetime", claims.NOW))
    while True:
        now = datetime.now(UTC)
        async with database.transaction() as session:
            parcels = await claims.claim(
                session, "telegram", now=now, lease=LEASE, limit=batch, entitled=entitled, urgent=False
            )
        if not parcels:
            return
        async with database.transaction() as session:
            await claims.begin(session, parcels, now=now, lease=LEASE)
        async with database.transaction() as session:
            await claims.settle(session, [claims.Settlement(one, done, str(one.id)) for one in parcels], now=now)


async def _bare_work(database: db.Database, plain: Any, batch: int) -> None:
    """Three statements in bulk, each its own transaction; nothing is asked and nothing is checked."""
    while rows := await plain.fetch(_BARE_CLAIM, batch):
        ids = [row["id"] for row in rows]
        await plain.fetch(_BARE_BEGIN, ids)
        await plain.execute(_BARE_SETTLE, ids, [str(number) for number in ids])
