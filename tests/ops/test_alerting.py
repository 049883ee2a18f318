"""Operators hear of alarms past the chats, each once, and once a day that all is well."""

import asyncio
import email
import email.policy
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import alerting, db, errors, health, models, posting, stack
from tests.conftest import StackMaker, make_settings
from tests.core import people
from tests.ops import receivers

HOOK, MAIL = posting.HOOK, posting.MAIL


@pytest.fixture
def hook() -> Iterator[receivers.Http]:
    with receivers.http() as got:
        yield got


class Hand:
    """One hand on the clock of a stack that tells its operators through `hook`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.held: stack.Stack
        self.alerts: alerting.Alerting

    async def open(self, make: StackMaker, database: db.Database, **settings: Any) -> None:
        self.held = await make(database, clock=lambda: self.now, **settings)
        self.alerts = alerting.Alerting(self.held)

    async def raised(self, key: str, text: str = "It is broken.") -> None:
        async with self.held.db.transaction() as session:
            await health.alarm(session, key, text, now=self.now)

    async def rows(self, **wanted: Any) -> list[models.Alert]:
        async with self.held.db.reading() as session:
            return list(await session.scalars(select(models.Alert).filter_by(**wanted).order_by(models.Alert.id)))

    async def told(self) -> list[dict[str, Any]]:
        """The daily messages in the outbox."""
        async with self.held.db.reading() as session:
            rows = await session.scalars(select(models.Delivery).order_by(models.Delivery.id))
            return [row.payload for row in rows if (row.payload or {}).get("name") == alerting.DAILY]  # type: ignore[misc]


@pytest.fixture
def hand(now: datetime) -> Hand:
    return Hand(now)


def bodies(hook: receivers.Http) -> list[dict[str, Any]]:
    return [json.loads(body) for body in hook.bodies]


async def test_an_alarm_is_posted_once(
    hand: Hand, make_stack: StackMaker, database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, database, alert_webhook_url=hook.url, heartbeat_hour=-1)
    await hand.raised("telegram:token", "telegram does not know our bot")
    for _ in range(3):
        await hand.alerts.step()
        await hand.raised("telegram:token", "telegram does not know our bot")
        hand.now += timedelta(minutes=20)
    (told,) = bodies(hook)
    assert told == {
        "id": "alert-1",
        "service": "SignalStack",
        "kind": "alarm",
        "key": "telegram:token",
        "text": "telegram does not know our bot",
        "since": "2026-01-15T12:00:00+00:00",
    }


async def test_an_alarm_that_comes_back_is_told_again(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, sqlite_database, alert_webhook_url=hook.url, heartbeat_hour=-1)
    for _ in range(2):
        await hand.raised("market:binance")
        await hand.alerts.step()
        async with hand.held.db.transaction() as session:
            await health.clear(session, "market:binance", now=hand.now)
        hand.now += timedelta(minutes=5)
    assert [one["key"] for one in bodies(hook)] == ["market:binance"] * 2


async def test_what_nobody_took_is_tried_again_with_longer_pauses_and_then_given_up(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, sqlite_database, alert_webhook_url=hook.url, heartbeat_hour=-1)
    await hand.raised("telegram:token")
    hook.status = 503
    for _ in range(4):
        await hand.alerts.step()  # at once, and again when the pause of 30 seconds is over
        hand.now += timedelta(seconds=15)
    assert len(hook.bodies) == 2
    (row,) = await hand.rows()
    assert (row.attempts, row.error, row.sent_at) == (2, "ALERT_WEBHOOK_URL answers with status 503.", None)
    hook.status = 204
    hand.now += timedelta(minutes=10)
    await hand.alerts.step()
    await hand.alerts.step()
    assert len(hook.bodies) == 3
    assert len({one["id"] for one in bodies(hook)}) == 1
    async with hand.held.db.transaction() as session:
        await session.execute(update(models.Alert).values(sent_at=None))
    hand.now += timedelta(days=1)
    await hand.alerts.step()
    assert len(hook.bodies) == 3


async def test_two_processes_send_one_alert(
    hand: Hand, make_stack: StackMaker, database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, database, alert_webhook_url=hook.url)
    await hand.raised("telegram:token")
    other = alerting.Alerting(hand.held)
    await asyncio.gather(hand.alerts.step(), other.step())
    assert sorted(one["kind"] for one in bodies(hook)) == ["alarm", "daily"]


async def test_a_part_that_falls_silent_is_told_though_nobody_raised_an_alarm(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, sqlite_database, alert_webhook_url=hook.url, heartbeat_hour=-1)
    async with hand.held.db.transaction() as session:
        await health.beat(session, "telegram.poller", limit=90, now=hand.now)
        await health.beat(session, "telegram.bot", limit=90, now=hand.now, note="our_bot")  # the place of a name
    await hand.alerts.step()
    assert hook.bodies == []
    for _ in range(3):
        hand.now += timedelta(seconds=91)
        await hand.alerts.step()
    (told,) = bodies(hook)
    assert (told["key"], told["text"]) == (
        "part:telegram.poller",
        "telegram.poller has made no progress for more than 90 seconds.",
    )


async def test_a_flood_of_alarms_is_told_in_portions(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, sqlite_database, alert_webhook_url=hook.url, heartbeat_hour=-1)
    for number in range(40):
        await hand.raised(f"place:{number}")
    await hand.alerts.step()
    assert len(await hand.rows()) == 30
    hand.now += timedelta(minutes=61)
    await hand.alerts.step()
    assert len(await hand.rows()) == 40


async def test_an_alarm_is_mailed(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    async with receivers.mail() as box:
        settings = {"smtp_url": f"smtp://me:p%40ss@{box.url}", "alert_email": "a@example.org, b@example.org"}
        await hand.open(make_stack, sqlite_database, **settings, alert_webhook_url=hook.url, heartbeat_hour=-1)
        await hand.raised("telegram:token", "telegram does not know our bot\nBcc: everybody@example.org")
        await hand.alerts.step()
        await hand.alerts.step()
    (letter,) = (email.message_from_string(one, policy=email.policy.default) for one in box.letters)
    assert letter["Subject"] == "SignalStack: Alarm telegram:token"
    assert (letter["To"], letter["From"], letter["Bcc"]) == ("a@example.org, b@example.org", "a@example.org", None)
    assert letter.get_content().splitlines()[:2] == ["telegram does not know our bot", "Bcc: everybody@example.org"]
    assert box.logins == [("me", "p@ss")]
    assert {row.channel: row.sent_at is not None for row in await hand.rows()} == {HOOK: True, MAIL: True}


@pytest.mark.parametrize("away", ["hook", "mail"])
async def test_whoever_is_not_there_is_said_without_his_address(sqlite_database: db.Database, away: str) -> None:
    port = 9  # where nobody listens
    conf = make_settings(
        sqlite_database,
        alert_webhook_url=f"http://127.0.0.1:{port}/secret-path",
        smtp_url=f"smtp://me:secret-word@127.0.0.1:{port}",
        alert_email="me@example.org",
    )
    body = {"id": "alert-1", "kind": "alarm", "key": "k", "text": "t", "since": "2026-01-15T12:00:00+00:00"}
    with pytest.raises(errors.UnreachableError) as caught:
        await posting.send(conf, "SignalStack", away, body)
    assert "secret" not in str(caught.value)


async def test_a_password_does_not_travel_unprotected_to_another_machine(sqlite_database: db.Database) -> None:
    async with receivers.mail("127.0.0.2") as box:  # as far as we can tell another machine, and it has no STARTTLS
        conf = make_settings(sqlite_database, smtp_url=f"smtp://me:word@{box.url}", alert_email="me@example.org")
        body = {"id": "alert-1", "kind": "alarm", "key": "k", "text": "t", "since": "2026-01-15T12:00:00+00:00"}
        with pytest.raises(errors.UnreachableError):
            await posting.send(conf, "SignalStack", MAIL, body)
    assert (box.logins, box.letters) == ([], [])


async def test_that_the_database_is_away_is_told_once_from_memory(
    hand: Hand, make_stack: StackMaker, hook: receivers.Http
) -> None:
    database = db.Database("postgresql://nobody@127.0.0.1:9/nowhere")
    await hand.open(make_stack, database, alert_webhook_url=hook.url)
    for seconds in (0.0, 61.0, 62.0):
        if hand.alerts._away_since is not None:
            hand.alerts._away_since -= seconds
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the driver says
            await hand.alerts.step()
        assert db.is_unavailable(caught.value)
    await database.close()
    (told,) = bodies(hook)
    assert (told["key"], "away" in told["text"]) == ("database", True)


async def test_operators_are_told_once_a_day_that_all_is_well(
    hand: Hand, make_stack: StackMaker, database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, database, alert_webhook_url=hook.url, admins="telegram:7,discord:8", heartbeat_hour=13)
    async with database.transaction() as session:
        await health.beat(session, "scheduler.scan", limit=90, now=hand.now + timedelta(hours=1))
        who = await people.person(session, hand.now)
        for state, settled in (("sent", 1), ("sent", 2), ("sent", 25), ("dead", 3), ("ambiguous", 4)):
            at = hand.now + timedelta(hours=1 - settled)
            values = {"kind": "notice", "priority": 1, "platform": "telegram", "address": who.address, "payload": {}}
            session.add(models.Delivery(**values, state=state, not_before=at, created_at=at, settled_at=at))
    await hand.alerts.step()
    assert hook.bodies == []  # at twelve it is too early
    hand.now += timedelta(hours=1)
    for _ in range(3):
        await hand.alerts.step()
    (told,) = bodies(hook)
    assert told["text"] == (
        "Everything is working. In the last 24 hours: 0 signals published, 0 ended; 2 messages delivered, 1 unsure, "
        "1 failed. This comes every day; if it does not, something is wrong: look at the status page."
    )
    assert [one["text"] for one in await hand.told()] == [told["text"]] * 2
    hand.now += timedelta(hours=10, minutes=59)
    await hand.alerts.step()
    assert [one["kind"] for one in bodies(hook)] == ["daily", "alarm"]  # the alarm: the scheduler fell silent
    hand.now += timedelta(hours=14)
    await hand.alerts.step()
    daily = [one for one in bodies(hook) if one["kind"] == "daily"]
    assert [one["key"] for one in daily] == ["daily:2026-01-15", "daily:2026-01-16"]
    assert daily[1]["text"].startswith("Not everything is working; silent: scheduler.scan. Open alarms: 0.")


async def test_the_message_of_the_day_names_the_alarms_that_are_open(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database
) -> None:
    await hand.open(make_stack, sqlite_database, admins="telegram:7")
    await hand.raised("market:binance")
    await hand.alerts.step()
    (told,) = await hand.told()
    assert told["text"].startswith("Every part is running, but 1 alarm is open: market:binance. In the last 24 hours:")


async def test_without_anybody_to_tell_nothing_is_written(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database
) -> None:
    await hand.open(make_stack, sqlite_database)
    await hand.raised("telegram:token")
    await hand.alerts.step()
    assert await hand.rows() == []


async def test_old_alerts_are_forgotten(
    hand: Hand, make_stack: StackMaker, sqlite_database: db.Database, hook: receivers.Http
) -> None:
    await hand.open(make_stack, sqlite_database, alert_webhook_url=hook.url)
    await hand.raised("telegram:token")
    await hand.alerts.step()
    async with hand.held.db.transaction() as session:
        await alerting.forget(session, now=hand.now + timedelta(days=29))
    assert len(await hand.rows()) == 3
    async with hand.held.db.transaction() as session:
        await alerting.forget(session, now=hand.now + timedelta(days=31))
    assert await hand.rows() == []
