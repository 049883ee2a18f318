"""Whatever is bought, given, freed, reduced, held, refunded or joined: never more seats than are paid for.

A Hypothesis state machine over a real database; after each step every seat lasts as long as what pays for it.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from core import db, errors, given, grants, linking, models, rights
from core.billing import invitations, seats
from core.models import Grant, Identity, Invitation, Subscription
from core.privacy import removal
from tests import databases
from tests.core import people

pytestmark = pytest.mark.timeout(400)  # one test of many sequences

_TEMPLATE = Path(tempfile.mkdtemp()) / "template.db"
DAY = timedelta(days=1)


class Teams(RuleBasedStateMachine):
    """People are the ids of identities, teams those of subscriptions; codes are words."""

    people, teams, codes = Bundle("people"), Bundle("teams"), Bundle("codes")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        if not _TEMPLATE.exists():
            self.do(databases.create_tables(f"sqlite:///{_TEMPLATE}"))
        self.folder = Path(tempfile.mkdtemp())
        self.database = db.Database(f"sqlite:///{shutil.copy(_TEMPLATE, self.folder / 'a.db')}")
        self.now = datetime(2026, 1, 15, 12, tzinfo=UTC)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def change(self, act: Any) -> Any:
        """The act is done in a transaction; what was refused is kept as the commands keep it."""

        async def done() -> Any:
            async with self.database.transaction() as session:
                try:
                    return await act(session)
                except errors.RefusedError:
                    return None

        return self.do(done())

    @rule(target=people, platform=st.sampled_from(["telegram", "discord"]))
    def comes(self, platform: str) -> int:
        return int(self.change(lambda session: people.person(session, self.now, platform=platform)).id)

    @rule(target=teams, who=people, quantity=st.integers(2, 5))
    def buys(self, who: int, quantity: int) -> int:
        async def act(session: Any) -> int:
            payer = await session.get_one(Identity, who)
            until = self.now + 30 * DAY
            return (await people.subscription(session, payer.member_id, until, quantity=quantity)).id

        return int(self.change(act))

    def read(self, team: int, **values: Any) -> None:
        """The provider says something else of the subscription now."""

        async def act(session: Any) -> None:
            row = await seats.locked(session, team)
            for name, value in values.items():
                setattr(row, name, value)
            await session.flush()
            await grants.follow(session, row, people.BOOK, now=self.now)

        self.change(act)

    @rule(team=teams, quantity=st.integers(1, 5))
    def has_another_quantity(self, team: int, quantity: int) -> None:
        self.read(team, quantity=quantity)

    @rule(team=teams, days=st.sampled_from([-1, 1, 30]))
    def lasts(self, team: int, days: int) -> None:
        self.read(team, access_until=self.now + days * DAY, status="active")

    @rule(team=teams, status=st.sampled_from(["active", "canceled", "unpaid"]))
    def gives_nothing(self, team: int, status: str) -> None:
        self.read(team, access_until=None, status=status)

    @rule(target=codes, team=teams)
    def invites(self, team: int) -> str:
        code = invitations.code()

        async def act(session: Any) -> None:
            await seats.invite(session, await seats.locked(session, team), code, "", now=self.now)

        self.change(act)
        return code

    @rule(who=people, code=codes)
    def takes(self, who: int, code: str) -> None:
        async def act(session: Any) -> None:
            await grants.redeem(session, await session.get_one(Identity, who), code, people.BOOK, now=self.now)

        self.change(act)

    @rule(team=teams, number=st.integers(2, 5))
    def frees(self, team: int, number: int) -> None:
        async def act(session: Any) -> None:
            row = await seats.locked(session, team)
            taken = (Grant.subscription_id == team, Grant.seat == number, Grant.revoked_at.is_(None))
            if found := await session.scalar(select(Grant.id).where(*taken)):
                await grants.free(session, row, found, people.BOOK, now=self.now)

        self.change(act)

    @rule(one=people, other=people)
    def become_one(self, one: int, other: int) -> None:
        async def act(session: Any) -> None:
            sides = [await session.get_one(Identity, number) for number in (one, other)]
            code = await linking.offer(session, sides[0], now=self.now)
            pair = await linking.use(session, sides[1], code, now=self.now)
            for side in sides:
                await linking.answer(session, side, pair.request.id, people.BOOK, yes=True, now=self.now)

        self.change(act)

    @rule(who=people)
    def leaves(self, who: int) -> None:
        async def act(session: Any) -> None:
            await removal.remove(session, (await session.get_one(Identity, who)).member_id, now=self.now)

        self.change(act)

    @rule(days=st.sampled_from([1, 8]))
    def time_passes(self, days: int) -> None:
        self.now += days * DAY

    @invariant()
    def seats_are_what_is_paid_for(self) -> None:
        if hasattr(self, "database"):
            self.do(self._look())

    async def _look(self) -> None:
        async with self.database.reading() as session:
            for row in await session.scalars(select(Subscription)):
                mine = (Grant.subscription_id == row.id, Grant.revoked_at.is_(None))
                taken = (await session.scalars(select(Grant).where(*mine))).all()
                valid = [one for one in taken if given.is_valid(one, self.now)]
                known = await session.scalars(select(Grant.id).where(*mine, rights.valid_grant(self.now)))
                assert {one.id for one in valid} == set(known)
                assert len(valid) + 1 <= max(1, row.quantity)
                assert all(2 <= (one.seat or 0) <= row.quantity for one in taken)
                assert len({one.seat for one in taken}) == len({one.member_id for one in taken}) == len(taken)
                assert all(one.until == row.access_until for one in valid)
                assert row.member_id not in {one.member_id for one in taken}
                if row.access_until is None or row.access_until <= self.now:
                    assert not valid
                waiting = (Invitation.subscription_id == row.id, invitations.is_open(self.now))
                invited = len((await session.scalars(select(Invitation).where(*waiting))).all())
                assert invited <= max(0, row.quantity - 1 - len(taken))
            gone = select(models.Member.id).where(models.Member.deleted_at.is_not(None))
            left = select(Grant).where(Grant.member_id.in_(gone), rights.valid_grant(self.now))
            assert (await session.scalars(left)).first() is None

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.do(self.database.close())
            self.loop.close()
            shutil.rmtree(self.folder)


TestTeams = pytest.mark.filterwarnings("ignore::ResourceWarning")(Teams.TestCase)
TestTeams.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
