"""What belongs together once two accounts are one member's, and what moves, or stays behind, with an account."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select

from core import catalogue, db, grants, members, models, places, rights
from core.billing import checkouts, links, subscriptions
from core.delivery import fanout
from core.models import Checkout, Delivery, Identity, Member, State, Subscription
from tests import conftest
from tests.core import people
from tests.core.people import BOOK
from tests.core.test_linking import DAY, account, again, linked, unlink
from tests.core.test_places import HALL, VIP, acts


async def held(database: db.Database, who: Identity, now: datetime) -> set[str]:
    async with database.reading() as session:
        member = (await session.get_one(Identity, who.id)).member_id
        return await rights.plans_of(session, member, now=now)


async def test_both_accounts_have_what_either_had(database: db.Database, now: datetime) -> None:
    poor, rich = await account(database, now), await account(database, now, "discord", days=30)

    assert await linked(database, poor, rich, now) == "linked"

    assert await held(database, poor, now) == {"all"}
    assert (await again(database, poor)).member_id == rich.member_id  # the better membership is kept
    async with database.reading() as session:
        gone = await session.get_one(Member, poor.member_id)
        assert (gone.merged_into, gone.deleted_at) == (rich.member_id, now)
        assert await members.current(session, poor.member_id) == rich.member_id


async def test_access_without_end_is_the_better_one(database: db.Database, now: datetime) -> None:
    payer, guest = await account(database, now, days=300), await account(database, now, "discord")
    async with database.transaction() as session:
        await grants.grant(session, guest.member_id, people.BITCOIN, BOOK, until=None, by="cli", now=now)

    assert await linked(database, payer, guest, now) == "linked"

    assert (await again(database, payer)).member_id == guest.member_id
    assert await held(database, payer, now) == {"all", "bitcoin"}


async def test_a_plan_that_is_now_paid_twice_is_told(database: db.Database, now: datetime) -> None:
    first, second = await account(database, now, days=9), await account(database, now, "discord", days=30)

    assert await linked(database, first, second, now) == "linked"

    told = await people.notices(database, second.member_id)
    assert told.count("second_subscription") == 2  # on each of the two chats
    async with database.reading() as session:
        alarm = await session.get_one(models.Alarm, f"second_subscription:{second.member_id}:all")
        assert "pays twice" in alarm.text


async def test_two_plans_are_not_one_too_many(database: db.Database, now: datetime) -> None:
    first, second = await account(database, now, days=9), await account(database, now, "discord")
    async with database.transaction() as session:
        await people.subscription(session, second.member_id, now + DAY, plan="bitcoin")

    assert await linked(database, first, second, now) == "linked"

    assert "second_subscription" not in await people.notices(database, first.member_id)
    assert await held(database, second, now) == {"all", "bitcoin"}


async def test_what_waits_to_be_sent_follows_and_open_signals_come_to_the_new_account(
    database: db.Database, now: datetime
) -> None:
    guest, payer = await account(database, now), await account(database, now, "discord", days=30)
    async with database.transaction() as session:
        signal = await people.publish(session, now)
    assert [row.identity_id for row in await people.deliveries(database)] == [payer.id]

    assert await linked(database, payer, guest, now) == "linked"

    rows = await people.deliveries(database, Delivery.signal_id == signal.id)
    assert {(row.identity_id, row.member_id) for row in rows} == {
        (payer.id, payer.member_id),
        (guest.id, payer.member_id),
    }
    assert [parcel.address for parcel in await people.claim(database, now) if parcel.signal_id] == [guest.address]


async def test_open_checkouts_of_the_given_up_member_expire(database: db.Database, now: datetime) -> None:
    guest, payer = await account(database, now), await account(database, now, "discord", days=30)
    async with database.transaction() as session:
        for who in (guest, payer):
            await checkouts.reserve(
                session, who.member_id, checkouts.Choice(people.BITCOIN), provider="stripe", now=now
            )

    assert await linked(database, guest, payer, now) == "linked"

    async with database.reading() as session:
        rows = (await session.scalars(select(Checkout).order_by(Checkout.id))).all()
        assert [(row.member_id, row.state) for row in rows] == [
            (payer.member_id, "expired"),
            (payer.member_id, "open"),
        ]


def paid(now: datetime, member_id: int | None, **given: object) -> subscriptions.Snapshot:
    """What the provider says of a subscription whose metadata names this member."""
    facts: dict[str, object] = {
        "provider": "stripe",
        "external_id": "sub_late",
        "customer_id": "cus_late",
        "member_id": member_id,
        "price_id": "price_all",
        "status": "active",
        "period_start": now,
        "period_end": now + 30 * DAY,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "ended_at": None,
        "trial_end": None,
        "collection_paused": False,
        "hold": "",
        "created_at": now,
        "read_at": now,
    }
    return subscriptions.Snapshot(**(facts | given))  # type: ignore[arg-type]


async def test_a_payment_that_names_the_old_member_finds_the_new_one(database: db.Database, now: datetime) -> None:
    guest, payer = await account(database, now), await account(database, now, "discord", days=30)
    assert await linked(database, guest, payer, now) == "linked"
    book = catalogue.Catalogue(plans=(people.ALL.model_copy(update={"price_id": "price_all"}),))

    async with database.transaction() as session:
        row = await subscriptions.apply(session, paid(now, guest.member_id), book, grace_days=3, now=now)
        assert row.member_id == payer.member_id
        known = await session.get_one(models.Customer, ("stripe", "cus_late"))
        assert known.member_id == payer.member_id
        later = paid(now, None, external_id="sub_2")
        assert (await subscriptions.apply(session, later, book, grace_days=3, now=now)).member_id == payer.member_id


async def test_links_of_the_old_member_lead_to_the_new_one(database: db.Database, now: datetime) -> None:
    guest, payer = await account(database, now), await account(database, now, "discord", days=30)
    conf = conftest.make_settings(database)
    token = links.portal_url(conf, guest.member_id, now=now).rpartition("/")[2]
    assert await linked(database, guest, payer, now) == "linked"

    ticket = links.read(conf, links.PORTAL, token, now=now)
    async with database.reading() as session:
        assert await members.current(session, ticket.member_id) == payer.member_id


async def test_on_one_chat_the_membership_moves_and_the_old_account_keeps_nothing(
    database: db.Database, now: datetime
) -> None:
    old, new = await account(database, now, days=30), await account(database, now)
    beside = await account(database, now, "discord")
    assert await linked(database, old, beside, now) == "linked"
    async with database.transaction() as session:
        await people.publish(session, now)

    assert await linked(database, await again(database, old), new, now) == "linked"

    assert await held(database, new, now) == await held(database, beside, now) == {"all"}
    assert await held(database, old, now) == set()
    left = await again(database, old)
    told = await people.deliveries(database, Delivery.member_id == left.member_id, Delivery.kind == "notice")
    assert [row.payload["name"] for row in told if row.payload and row.state == State.PENDING] == ["account_left"]
    chats = [parcel.address for parcel in await people.claim(database, now) if parcel.kind == "opening"]
    assert chats == [new.address]


async def test_a_move_goes_to_the_poorer_account_whoever_made_the_code(database: db.Database, now: datetime) -> None:
    new, old = await account(database, now), await account(database, now, days=30)

    assert await linked(database, new, old, now) == "linked"

    assert await held(database, new, now) == {"all"}
    assert await held(database, old, now) == set()


async def test_a_moved_membership_may_move_back_but_not_on(database: db.Database, now: datetime) -> None:
    old, new, third = [await account(database, now, days=days) for days in (30, 0, 0)]
    assert await linked(database, old, new, now) == "linked"

    assert "exchanged a short while ago" in await linked(database, await again(database, new), third, now + DAY / 2)
    back = await linked(database, await again(database, new), await again(database, old), now + DAY / 2)
    assert back == "linked"
    assert await held(database, old, now) == {"all"}


async def test_doors_open_for_the_new_account_and_put_out_the_old_one(database: db.Database, now: datetime) -> None:
    book = BOOK.model_copy(update={"places": (VIP, HALL)})
    old, new = await account(database, now, days=30), await account(database, now)
    far = await account(database, now, "discord")
    async with database.transaction() as session:
        await places.sync(session, book, now=now)
        vip = await session.get_one(models.Place, "vip")
        await places.seen(session, vip, old.external_id, inside=True, now=now)
    assert await linked(database, old, far, now) == "linked"
    assert await acts(database) == [("hall", "give", far.external_id)]

    assert await linked(database, await again(database, old), new, now) == "linked"

    assert ("vip", "remove", old.external_id) in await acts(database)


async def test_updates_follow_whoever_read_the_opening(database: db.Database, now: datetime) -> None:
    owner, leaving = await account(database, now, days=30), await account(database, now, "discord")
    assert await linked(database, owner, leaving, now) == "linked"
    async with database.transaction() as session:
        signal = await people.publish(session, now)
    sent = await people.claim(database, now, platform="discord")
    await people.begin(database, sent, now)
    for parcel in sent:
        await people.settle(database, parcel, people.SENT, now)
    await unlink(database, owner, leaving, now)

    async with database.transaction() as session:
        row = await session.get_one(models.Signal, signal.id)
        row.status, row.close_price = models.SignalStatus.TARGET, Decimal(110)
        assert await fanout.follow_up(session, signal.id, "target", now=now) == 2

    after = [parcel.kind for parcel in await people.claim(database, now + timedelta(minutes=1), platform="discord")]
    assert "update" in after
    async with database.reading() as session:
        assert await session.scalar(select(Subscription.member_id)) == owner.member_id
