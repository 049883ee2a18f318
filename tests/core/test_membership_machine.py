"""Whatever people, payers, operators and platforms do, after a round membership is what is paid for.

A Hypothesis state machine over a real database: join, leave, pay, lapse, link, unlink, rights and events lost, rounds.
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
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule

from core import db
from tests import databases
from tests.core import membership

pytestmark = pytest.mark.timeout(400)  # one test of many sequences

_TEMPLATE = Path(tempfile.mkdtemp()) / "template.db"


class Memberships(RuleBasedStateMachine):
    """Accounts are the ids of identities; the world says who is where."""

    accounts = Bundle("accounts")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        if not _TEMPLATE.exists():
            self.do(databases.create_tables(f"sqlite:///{_TEMPLATE}"))
        self.folder = Path(tempfile.mkdtemp())
        self.database = db.Database(f"sqlite:///{shutil.copy(_TEMPLATE, self.folder / 'a.db')}")
        self.world = membership.World(self.database, datetime(2026, 1, 15, 12, tzinfo=UTC))
        self.names: dict[int, tuple[str, str]] = {}
        self.do(self.world.open())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @rule(target=accounts, platform=st.sampled_from(["telegram", "discord"]))
    def comes(self, platform: str) -> int:
        who = self.do(self.world.newcomer(platform))
        self.names[who.id] = (platform, who.external_id)
        return who.id

    @rule(account=accounts, days=st.sampled_from([1, 30]))
    def pays(self, account: int, days: int) -> None:
        self.do(self.world.pay(account, days))

    @rule(account=accounts)
    def lapses(self, account: int) -> None:
        self.do(self.world.lapse(account))

    @rule(account=accounts)
    def asks(self, account: int) -> None:
        platform, name = self.names[account]
        if platform == "telegram":
            self.do(self.world.ask(name))

    @rule(stranger=st.sampled_from(["777001", "777002"]))
    def a_stranger_asks(self, stranger: str) -> None:
        self.do(self.world.ask(stranger))

    @rule(who=st.one_of(accounts, st.sampled_from(["777001", "777002"])), key=st.sampled_from(["vip", "hall"]))
    def is_let_in_by_a_human(self, who: int | str, key: str) -> None:
        platform, name = self.names.get(who, ("", who)) if isinstance(who, int) else ("", who)
        if platform in {"", {"vip": "telegram", "hall": "discord"}[key]}:
            self.do(self.world.move(key, str(name), inside=True))

    @rule(account=accounts)
    def leaves(self, account: int) -> None:
        platform, name = self.names[account]
        if platform == "discord":
            self.world.server.discard(name)
        self.do(self.world.move(membership.AT[platform], name, inside=False))

    @rule(account=accounts)
    def comes_back_to_the_server(self, account: int) -> None:
        platform, name = self.names[account]
        if platform == "discord":
            self.world.server.add(name)

    @rule(one=accounts, other=accounts)
    def links(self, one: int, other: int) -> None:
        self.do(self.world.link(one, other))

    @rule(account=accounts)
    def unlinks(self, account: int) -> None:
        self.do(self.world.unlink(account))

    @rule(key=st.sampled_from(["vip", "hall"]), lost=st.booleans())
    def rights_change(self, key: str, lost: bool) -> None:
        (self.world.barred.add if lost else self.world.barred.discard)(key)

    @rule(told=st.booleans())
    def events_get_lost_or_not(self, told: bool) -> None:
        self.world.told = told

    @rule(minutes=st.sampled_from([1, 11, 1500]))
    def time_passes(self, minutes: int) -> None:
        self.world.now += timedelta(minutes=minutes)

    @precondition(lambda self: hasattr(self, "world"))
    @rule()
    def doors_are_worked(self) -> None:
        self.do(self.world.work())

    @rule()
    def a_round_is_made(self) -> None:
        """The promise: once rights are there, a round and its acts make membership what is paid for."""
        self.world.barred.clear()
        for _ in range(2):  # the acts that were under way when it began belong to the second one
            self.world.now += timedelta(minutes=11)
            self.do(self.world.work())
            self.do(self.world.sweep())
            self.do(self.world.work())
        telegram, discord = (self.do(self.world.entitled(name)) for name in ("telegram", "discord"))
        inside = {key: here - {membership.BOSS} for key, here in self.world.inside.items()}
        known = {name for platform, name in self.names.values() if platform == "telegram"}
        assert inside["hall"] == discord & self.world.server
        assert inside["vip"] & known <= telegram
        assert not self.world.asking & telegram, "somebody who pays stands before the door"
        if self.world.told:
            assert inside["vip"] & self._heard_of() <= telegram
        assert membership.BOSS in self.world.inside["vip"]
        assert membership.BOSS in self.world.inside["hall"]

    def _heard_of(self) -> set[str]:
        """Strangers whose coming Telegram told us of; who came unseen nobody can list there."""
        return self.do(_heard(self.database))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.a_round_is_made()
        finally:
            self.do(self.database.close())
            self.loop.close()
            shutil.rmtree(self.folder)


async def _heard(database: db.Database) -> set[str]:
    from sqlalchemy import select

    from core.models import Presence

    async with database.reading() as session:
        seen = select(Presence.external_id).where(Presence.place == "vip", Presence.checked_at.is_not(None))
        return set(await session.scalars(seen))


def bounds(examples: int, steps: int) -> settings:
    """How long the machine runs."""
    quiet = list(HealthCheck)
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=quiet)


TestMemberships = Memberships.TestCase
TestMemberships.settings = bounds(12, 30)
