"""Who may have what: the one question of the fan-out and of the claim, and what a member is handed over."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from core import access, catalogue, db, grants, members, models, rights
from core.delivery import fanout, outbox
from core.models import Delivery, State
from tests.core import people

DAY = timedelta(days=1)
PLANS = st.sampled_from(["all", "bitcoin", "ether", "gone"])
# Hours from now: the very moment of an end counts as ended.
ENDS = st.one_of(st.none(), st.integers(-2, 2))


@dataclass(frozen=True)
class Someone:
    """A member as plain data: subscriptions (plan, end), grants (plan, end, revoked), and three ways to be silent."""

    paid: Sequence[tuple[str, int | None]]
    given: Sequence[tuple[str, int | None, bool]]
    muted: bool
    blocked: bool
    deleted: bool

    def holds(self, hour: int) -> set[str]:
        """The plans that this member has so many hours from now."""
        paid = {plan for plan, end in self.paid if end is not None and end > hour}
        return paid | {plan for plan, end, off in self.given if not off and (end is None or end > hour)}

    def may_have(self, symbol: str, hour: int) -> bool:
        opening = {"all", "bitcoin" if symbol == people.BTC else "ether"}
        return bool(self.holds(hour) & opening) and not self.muted and not self.deleted


PEOPLE = st.lists(
    st.builds(
        Someone,
        paid=st.lists(st.tuples(PLANS, ENDS), max_size=3),
        given=st.lists(st.tuples(PLANS, ENDS, st.booleans()), max_size=2),
        muted=st.sampled_from([False, False, True]),
        blocked=st.sampled_from([False, False, True]),
        deleted=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(PEOPLE, st.integers(-1, 1))
async def test_q08_entitlement_in_sql_is_entitlement_in_plain_words(
    database: db.Database, now: datetime, crowd: list[Someone], hour: int
) -> None:
    at = now + hour * people.HOUR
    async with database.reading() as session:  # so everything is thrown away
        ids = {}
        for someone in crowd:
            who = await people.person(session, now)
            ids[who.member_id] = someone
            for plan, end in someone.paid:
                until = None if end is None else now + end * people.HOUR
                await people.subscription(session, who.member_id, until, plan=plan)
            for plan, end, revoked in someone.given:
                until = None if end is None else now + end * people.HOUR
                off = now if revoked else None
                session.add(grant_row(who.member_id, plan, until, revoked_at=off))
            who.blocked_at = now if someone.blocked else None
            member = await session.get_one(models.Member, who.member_id)
            member.muted, member.deleted_at = someone.muted, now if someone.deleted else None
            await session.flush()
            assert await rights.plans_of(session, who.member_id, now=at) == someone.holds(hour)
        for symbol in (people.BTC, people.ETH):
            signal = await people.signal(session, now, symbol=symbol)
            may = {number for number, someone in ids.items() if someone.may_have(symbol, hour)}
            reached = (await access.recipients(session, people.BOOK, symbol, now=at)).subquery()
            rows = set(await session.scalars(select(reached.c.member_id)))
            assert rows & set(ids) == {number for number in may if not ids[number].blocked}
            every = select(
                models.Identity.platform,
                models.Identity.address,
                models.Identity.id.label("identity_id"),
                models.Identity.member_id,
            ).where(models.Identity.member_id.in_(ids))
            await fanout.open_up(session, signal.id, every, now=now, expires_at=now + DAY)
            asked = select(Delivery.member_id).where(
                Delivery.signal_id == signal.id, access.entitled(people.BOOK, now=at)
            )
            assert set(await session.scalars(asked)) == may


def grant_row(member_id: int, plan: str, until: datetime | None, revoked_at: datetime | None = None) -> models.Grant:
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return models.Grant(
        member_id=member_id, plan=plan, until=until, granted_by="telegram:1", created_at=at, revoked_at=revoked_at
    )


async def test_a_catalogue_without_plans_opens_nothing(database: db.Database, now: datetime) -> None:
    empty = catalogue.Catalogue()
    async with database.transaction() as session:
        await people.payer(session, now)
        await people.publish(session, now)
        assert (await session.execute(await access.recipients(session, empty, people.BTC, now=now))).all() == []
    assert await people.claim(database, now, entitled=access.entitled(empty, now=now)) == []


async def test_a_plan_with_symbols_brings_only_their_signals(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now, plan="bitcoin")
        both = await people.payer(session, now)
        await people.publish(session, now, symbol=people.ETH)
        await people.publish(session, now, symbol=people.BTC)
        assert (await access.standing(session, who.member_id, people.BOOK, now=now)).open_signals == 1
        assert (await access.standing(session, both.member_id, people.BOOK, now=now)).open_signals == 2
    addresses = [parcel.address for parcel in await people.claim(database, now)]
    assert sorted(addresses) == sorted([who.address, both.address, both.address])


async def test_q08_a_muted_member_is_not_sent_what_was_queued(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        await people.publish(session, now)
        await members.mute(session, who.member_id, muted=True)
        await outbox.tell(session, who.member_id, "granted", {}, key="g", now=now)
        assert (await access.standing(session, who.member_id, people.BOOK, now=now)).muted
    assert [parcel.kind for parcel in await people.claim(database, now)] == ["notice"]


async def test_standing_names_every_plan_and_its_end(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now)
        nobody = await access.standing(session, who.member_id, people.BOOK, now=now)
        assert (nobody.paying, nobody.holdings, nobody.open_signals) == (False, [], 0)
        member = who.member_id
        await people.subscription(session, member, now + DAY, plan="bitcoin")
        await people.subscription(session, member, now + DAY, plan="ether", cancels_at=now + people.HOUR)
        await people.subscription(session, member, now + DAY, plan="gone")
        await people.subscription(session, member, now, plan="all")
        await grants.grant(session, member, people.ALL, people.BOOK, until=None, by="telegram:1", now=now)
        session.add(grant_row(member, "gone", None))
        standing = await access.standing(session, member, people.BOOK, now=now)
    assert standing.paying
    assert [(held.plan.key, held.until, held.renews, held.status, held.source) for held in standing.holdings] == [
        ("bitcoin", now + DAY, True, "active", "stripe"),
        ("ether", now + people.HOUR, False, "active", "stripe"),
        ("all", None, False, "granted", "operator"),
    ]


async def test_a_grant_opens_tells_and_is_written_down(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now)
        await people.publish(session, now)
        until = now + DAY
        await grants.grant(session, who.member_id, people.ALL, people.BOOK, until=until, by="telegram:1", now=now)
        assert await rights.plans_of(session, who.member_id, now=now) == {"all"}
        assert await rights.plans_of(session, who.member_id, now=until) == set()
        [audit] = await session.scalars(select(models.Audit))
        details = {"member": who.member_id, "plan": "all"}
        assert (audit.actor, audit.action, audit.details, audit.at) == ("telegram:1", "grant", details, now)
    assert [parcel.kind for parcel in await people.claim(database, now)] == ["notice", "opening"]
    [notice, _] = await people.deliveries(database)
    assert notice.payload == {"name": "granted", "plan": "Everything", "until": until.isoformat()}


async def test_a_revoked_grant_closes_and_tells_once(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now)
        for plan in (people.ALL, people.ALL, people.BITCOIN):
            await grants.grant(session, who.member_id, plan, people.BOOK, until=None, by="telegram:1", now=now)
        assert await grants.revoke(session, who.member_id, people.ALL, by="telegram:2", now=now) == 2
        assert await grants.revoke(session, who.member_id, people.ALL, by="telegram:2", now=now) == 0
        assert await rights.plans_of(session, who.member_id, now=now) == {"bitcoin"}
        actions = [row.action for row in await session.scalars(select(models.Audit).order_by(models.Audit.id))]
    assert actions == ["grant"] * 3 + ["revoke"] * 2
    assert await people.notices(database, who.member_id) == ["granted"] * 3 + ["revoked"] * 2


async def test_q08_newly_paid_gets_the_open_signals_once(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.person(session, now)
        old = [await people.signal(session, now) for _ in range(12)]
        await people.signal(session, now, status=models.SignalStatus.STOPPED)
        await people.subscription(session, who.member_id, now + DAY)
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 10
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 0
    parcels = await people.claim(database, now)
    assert [parcel.signal_id for parcel in parcels] == [signal.id for signal in old[2:]]
    assert {str(parcel.payload) for parcel in parcels} == {str({"catch_up": True})}


async def test_q08_what_was_queued_before_is_not_handed_over_again(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        await people.publish(session, now)
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 0
    await people.send(database, now)
    async with database.transaction() as session:
        await access.reconcile(session, who.member_id, people.BOOK, now=now)
    assert len(await people.deliveries(database, Delivery.kind == "opening")) == 1


async def test_q08_nobody_unpaid_muted_or_blocked_is_handed_anything(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        await people.signal(session, now)
        muted, blocked, unpaid = [await people.payer(session, now, days=days) for days in (1, 1, 0)]
        await members.mute(session, muted.member_id, muted=True)
        await members.block(session, "telegram", blocked.address, now=now)
        for who in (muted, blocked, unpaid):
            assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 0


@pytest.mark.parametrize("first", ["catch_up", "close"])
async def test_q05_a_signal_that_closes_during_a_catch_up_leaves_nobody_without_its_end(
    postgres_database: db.Database, now: datetime, first: str
) -> None:
    database = postgres_database
    async with database.transaction() as session:
        who = await people.payer(session, now)
        signal = await people.signal(session, now)
    began = asyncio.Event()

    async def catch_up() -> None:
        async with database.transaction() as session:
            await access.catch_up(session, who.member_id, people.BOOK, now=now)
            began.set()
            await people.blocked_on_a_lock(database, 1 if first == "catch_up" else 0)

    async def close() -> None:
        async with database.transaction() as session:
            closing = update(models.Signal).where(models.Signal.id == signal.id)
            await session.execute(closing.values(status=models.SignalStatus.TARGET))
            await fanout.follow_up(session, signal.id, "target", now=now)
            began.set()
            await people.blocked_on_a_lock(database, 1 if first == "close" else 0)

    earlier, later = (catch_up, close) if first == "catch_up" else (close, catch_up)
    task = asyncio.create_task(earlier())
    await began.wait()
    await asyncio.gather(task, later())
    kinds = [row.kind for row in await people.deliveries(database)]
    assert kinds == (["opening", "update"] if first == "catch_up" else [])


async def test_q08_an_opening_that_waits_for_a_lapsed_member_expires_for_good(
    database: db.Database, now: datetime
) -> None:
    async with database.transaction() as session:
        await people.payer(session, now, days=0.01)
        await people.publish(session, now, life=DAY)
    assert await people.claim(database, now + people.HOUR) == []
    assert await people.states(database) == [State.EXPIRED]


async def test_q08_who_pays_again_gets_what_was_refused_meanwhile(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        await people.publish(session, now)
        await session.execute(update(models.Subscription).values(access_until=now))
    assert await people.claim(database, now) == []
    async with database.transaction() as session:
        await people.subscription(session, who.member_id, now + people.HOUR)
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 1
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 0
    [parcel] = await people.claim(database, now)
    assert (parcel.kind, parcel.payload) == ("opening", {"catch_up": True})


async def test_q07_a_late_signal_is_nobodys_opening(database: db.Database, now: datetime) -> None:
    async with database.transaction() as session:
        who = await people.payer(session, now)
        await people.signal(session, now, late=True)
        assert await access.catch_up(session, who.member_id, people.BOOK, now=now) == 0
