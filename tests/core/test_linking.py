"""X03: codes, the yes of both sides, and what then belongs together; everything by account numbers."""

import asyncio
import base64
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import db, errors, linking, members, models
from core.models import Audit, Identity, LinkRequest
from tests.core import people
from tests.core.people import BOOK

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


async def account(database: db.Database, now: datetime, platform: str = "telegram", *, days: float = 0) -> Identity:
    """Somebody new; with days, one who pays for so many more."""
    async with database.transaction() as session:
        who = await people.person(session, now, platform=platform)
        if days:
            await people.subscription(session, who.member_id, now + timedelta(days=days))
        return who


async def again(database: db.Database, who: Identity) -> Identity:
    async with database.reading() as session:
        return await session.get_one(Identity, who.id)


async def code_of(database: db.Database, who: Identity, now: datetime) -> str:
    async with database.transaction() as session:
        return await linking.offer(session, who, now=now)


async def use(database: db.Database, who: Identity, code: str, now: datetime) -> int | str:
    """The number of the request, or why it was refused; the transaction is kept either way, as commands keep theirs."""
    async with database.transaction() as session:
        try:
            return (await linking.use(session, who, code, now=now)).request.id
        except errors.RefusedError as refusal:
            return str(refusal)


async def say(database: db.Database, who: Identity, request: int | str, now: datetime, *, yes: bool = True) -> str:
    """ "waiting", "linked", "refused", or the sentence of a refusal."""
    async with database.transaction() as session:
        try:
            return (await linking.answer(session, who, int(request), BOOK, yes=yes, now=now))[1]
        except errors.RefusedError as refusal:
            return str(refusal)


async def linked(database: db.Database, maker: Identity, user: Identity, now: datetime) -> str:
    """What came of a code and two times yes."""
    request = await use(database, user, await code_of(database, maker, now), now)
    if isinstance(request, str):
        return request
    assert await say(database, user, request, now) == "waiting"
    return await say(database, maker, request, now)


async def unlink(database: db.Database, who: Identity, leaving: Identity, now: datetime) -> None:
    async with database.transaction() as session:
        here = await session.get_one(Identity, who.id)
        await linking.unlink(session, here, leaving.id, BOOK, now=now)


async def test_x03_codes_have_128_bits_and_only_their_hash_is_kept(database: db.Database, now: datetime) -> None:
    who = await account(database, now)
    codes = [await code_of(database, who, now) for _ in range(50)]

    assert len(set(codes)) == 50
    assert {len(base64.urlsafe_b64decode(code + "==")) for code in codes} == {16}
    async with database.reading() as session:
        rows = (await session.scalars(select(LinkRequest))).all()
    kept = {str(value) for row in rows for value in vars(row).values()}
    assert not kept & set(codes)


async def test_x03_a_code_works_for_ten_minutes(database: db.Database, now: datetime) -> None:
    maker, user = await account(database, now), await account(database, now, "discord")
    code = await code_of(database, maker, now)

    assert "not valid" in str(await use(database, user, code, now + 10 * MINUTE))
    request = await use(database, user, f" {code} ", now + 9 * MINUTE)
    assert "has ended" in await say(database, user, request, now + 10 * MINUTE)


async def test_x03_a_code_works_once_and_not_for_who_made_it(database: db.Database, now: datetime) -> None:
    maker, user, third = [await account(database, now, name) for name in ("telegram", "discord", "discord")]
    code = await code_of(database, maker, now)

    assert "not valid" in str(await use(database, maker, code, now))
    assert isinstance(await use(database, user, code, now), int)
    assert "not valid" in str(await use(database, third, code, now))
    assert "not valid" in str(await use(database, user, code, now))


async def test_x03_two_who_use_a_code_at_once_do_not_both_get_it(database: db.Database, now: datetime) -> None:
    maker = await account(database, now)
    users = [await account(database, now, "discord") for _ in range(4)]
    code = await code_of(database, maker, now)

    got = await asyncio.gather(*(use(database, user, code, now) for user in users))

    assert len([request for request in got if isinstance(request, int)]) == 1


async def test_x03_a_new_code_ends_the_unused_one_but_no_question(database: db.Database, now: datetime) -> None:
    maker, user, third = [await account(database, now, name) for name in ("telegram", "discord", "discord")]
    old = await code_of(database, maker, now)
    asked = await use(database, user, await code_of(database, maker, now), now)
    await code_of(database, maker, now)

    assert "not valid" in str(await use(database, third, old, now))
    assert await say(database, user, asked, now) == "waiting"


async def test_x03_guesses_are_slowed_after_five(database: db.Database, now: datetime) -> None:
    maker, guesser, other = [await account(database, now, name) for name in ("telegram", "discord", "discord")]
    code = await code_of(database, maker, now)
    for number in range(5):
        assert "not valid" in str(await use(database, guesser, f"guess-{number}", now))

    assert "Too many codes" in str(await use(database, guesser, code, now))
    assert isinstance(await use(database, other, code, now), int)  # others are not held up
    later = now + timedelta(hours=1, seconds=1)
    assert isinstance(await use(database, guesser, await code_of(database, maker, later), later), int)


async def test_x03_nothing_happens_before_both_sides_have_said_yes(database: db.Database, now: datetime) -> None:
    maker, user, stranger = [await account(database, now, name) for name in ("telegram", "discord", "discord")]
    request = await use(database, user, await code_of(database, maker, now), now)

    assert "has ended" in await say(database, stranger, request, now)
    for _ in range(2):  # whoever says yes twice has said it for one side
        assert await say(database, user, request, now) == "waiting"
    assert (await again(database, user)).member_id != (await again(database, maker)).member_id
    assert await say(database, maker, request, now) == "linked"
    assert (await again(database, user)).member_id == (await again(database, maker)).member_id
    assert "has ended" in await say(database, maker, request, now)


@pytest.mark.parametrize("refuser", ["maker", "user"])
async def test_x03_one_no_ends_it(database: db.Database, now: datetime, refuser: str) -> None:
    maker, user = await account(database, now), await account(database, now, "discord")
    sides = {"maker": maker, "user": user}
    request = await use(database, user, await code_of(database, maker, now), now)
    no, yes = sides.pop(refuser), sides.popitem()[1]
    await say(database, yes, request, now)

    assert await say(database, no, request, now, yes=False) == "refused"
    assert "has ended" in await say(database, no, request, now)
    assert (await again(database, user)).member_id != (await again(database, maker)).member_id


async def test_x03_a_code_that_a_victim_was_made_to_use_needs_their_yes(database: db.Database, now: datetime) -> None:
    attacker, victim = await account(database, now), await account(database, now, "discord", days=30)
    request = await use(database, victim, await code_of(database, attacker, now), now)

    assert await say(database, attacker, request, now) == "waiting"
    async with database.reading() as session:
        asked = await linking.waiting(session, victim, now=now)
        assert asked is not None
        assert asked.other(victim).id == attacker.id
        assert await linking.waiting(session, attacker, now=now) is None
        assert await linking.waiting(session, victim, now=now + 10 * MINUTE) is None


async def test_x03_relinking_needs_a_new_code_and_both_again(database: db.Database, now: datetime) -> None:
    maker, user = await account(database, now, days=30), await account(database, now, "discord")
    code = await code_of(database, maker, now)
    request = await use(database, user, code, now)
    await say(database, maker, request, now)
    assert await say(database, user, request, now) == "linked"

    await unlink(database, maker, user, now + MINUTE)

    gone = await again(database, user)
    assert gone.member_id not in {user.member_id, maker.member_id}
    assert await people.notices(database, gone.member_id) == ["account_left"]
    assert "has ended" in await say(database, user, request, now + MINUTE)
    assert "not valid" in str(await use(database, user, code, now + MINUTE))
    assert await linked(database, await again(database, maker), gone, now + 2 * MINUTE) == "linked"


async def test_x03_a_membership_takes_a_new_account_a_day_after_one_left(database: db.Database, now: datetime) -> None:
    owner, first, second = [await account(database, now, name) for name in ("telegram", "discord", "discord")]
    assert await linked(database, owner, first, now) == "linked"
    await unlink(database, owner, first, now)
    owner = await again(database, owner)

    refused = await linked(database, owner, second, now + DAY - MINUTE)

    assert "exchanged a short while ago" in refused
    assert await linked(database, owner, second, now + DAY) == "linked"


async def test_x03_becoming_another_member_is_no_way_around_the_day(database: db.Database, now: datetime) -> None:
    owner, left = await account(database, now), await account(database, now, "discord")
    assert await linked(database, owner, left, now) == "linked"
    await unlink(database, owner, left, now)
    left = await again(database, left)
    async with database.transaction() as session:  # the better membership of the two keeps the other's restraint
        await people.subscription(session, left.member_id, now + 30 * DAY)
    assert await linked(database, await again(database, owner), left, now + MINUTE) == "linked"

    third = await account(database, now, "telegram")

    assert "exchanged a short while ago" in await linked(database, await again(database, left), third, now + MINUTE)


async def test_x03_only_accounts_of_the_membership_can_be_unlinked(database: db.Database, now: datetime) -> None:
    alone, other = await account(database, now), await account(database, now, "discord")

    for leaving in (alone, other):
        with pytest.raises(errors.RefusedError, match="does not belong"):
            await unlink(database, alone, leaving, now)


async def test_two_memberships_with_accounts_on_the_same_chat_are_not_mixed(
    database: db.Database, now: datetime
) -> None:
    here, there = await account(database, now), await account(database, now, "discord")
    assert await linked(database, here, there, now) == "linked"
    here, stranger = await again(database, here), await account(database, now, "discord")

    assert "another account already" in await linked(database, here, stranger, now)
    code = await code_of(database, here, now)
    assert "share one membership" in str(await use(database, await again(database, there), code, now))
    assert "not valid" in str(await use(database, stranger, code, now))  # a code that led nowhere is used up


async def test_both_may_say_yes_at_the_same_moment(database: db.Database, now: datetime) -> None:
    maker, user = await account(database, now, days=3), await account(database, now, "discord")
    request = await use(database, user, await code_of(database, maker, now), now)

    said = await asyncio.gather(*(say(database, side, request, now) for side in (maker, user)))

    assert sorted(said) == ["linked", "waiting"]
    assert (await again(database, user)).member_id == maker.member_id


async def test_whoever_is_linked_elsewhere_meanwhile_brings_everything(database: db.Database, now: datetime) -> None:
    """Two questions about one account are answered at once: all three end as one member, and nothing is lost."""
    hub, rich = await account(database, now), await account(database, now, "discord", days=30)
    requests = [
        await use(database, user, await code_of(database, hub, now), now)
        for user in (rich, await account(database, now, "console"))
    ]
    async with database.reading() as session:
        users = [(await session.get_one(LinkRequest, request)).other_id for request in requests]
        sides = [await session.get_one(Identity, user) for user in users]
    for user, request in zip(sides, requests, strict=True):
        await say(database, user, request, now)

    said = await asyncio.gather(*(say(database, hub, request, now) for request in requests))

    assert said == ["linked", "linked"]
    async with database.reading() as session:
        member = await members.current(session, hub.member_id)
        assert len(await members.identities(session, member)) == 3
        owners = (await session.scalars(select(models.Subscription.member_id))).all()
        assert owners == [member]


async def test_a_stale_account_object_changes_nothing(database: db.Database, now: datetime) -> None:
    """What a command read before it waited for the other side's lock is read again."""
    maker, user = await account(database, now), await account(database, now, "discord")
    request = await use(database, user, await code_of(database, maker, now), now)
    async with database.transaction() as session:
        await session.execute(update(Identity).where(Identity.id == user.id).values(name="Renamed"))
    async with database.transaction() as session:
        mine = await session.get_one(Identity, maker.id)
        pair, _ = await linking.answer(session, mine, int(request), BOOK, yes=False, now=now)
        assert pair.other(mine).name == "Renamed"
        assert await session.scalar(select(Audit.id).limit(1)) is None
