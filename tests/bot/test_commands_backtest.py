"""/backtest: who may ask, what is meant, and that a question becomes one job."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core import catalogue, db
from core.backtest import jobs
from core.models import Backtest
from tests.bot.desk import GOLD, SERVICE, Chat, labels
from tests.bot.messages.test_backtests import FACTS

BOOK = catalogue.Catalogue(
    service=SERVICE,
    watches=(
        catalogue.Watch(symbol="BTC/USDT"),
        catalogue.Watch(symbol="BTC/USDT", timeframe="4h"),
        catalogue.Watch(symbol="ETH/USDT"),
    ),
    plans=(GOLD,),
)


@pytest.fixture
async def chat(sqlite_database: db.Database, now: datetime) -> Chat:
    made = Chat(sqlite_database, now, BOOK)
    await made.pays()
    return made


async def rows(chat: Chat) -> Sequence[Backtest]:
    async with chat.db.reading() as session:
        return (await session.scalars(select(Backtest).order_by(Backtest.id))).all()


async def test_without_a_plan_there_is_the_way_to_one_and_no_job(chat: Chat) -> None:
    message = await chat.ask("/backtest BTC mean_reversion 1h", person="9")

    assert message.plain == "Backtests are for subscribers; the way to become one is /subscribe."
    assert labels(message) == ["/plans", "/record"]
    assert await rows(chat) == []


@pytest.mark.parametrize(
    "line",
    [
        "/backtest BTC/USDT mean_reversion 1h",
        "/backtest btc 1h mean_reversion",
        "/backtest MEAN_REVERSION BTCUSDT 1h",
    ],
)
async def test_words_in_any_order_become_a_job(chat: Chat, line: str) -> None:
    words = await chat.said(line)

    assert (
        words == "The backtest of BTC/USDT · 1h · mean_reversion is running. Its answer comes here, mostly in seconds."
    )
    [row] = await rows(chat)
    assert {name: row.request[name] for name in jobs.SUBJECT} == {
        "symbol": "BTC/USDT",
        "strategy": "mean_reversion",
        "timeframe": "1h",
    }
    assert (row.platform, row.address, row.request["until"], row.member_id) == ("telegram", "7", "", 1)


async def test_what_is_left_out_is_asked_for_by_buttons(chat: Chat) -> None:
    nothing = await chat.ask("/backtest")
    pair = await chat.ask("/backtest BTC")
    both = await chat.ask("/backtest BTC mean_reversion")
    rule = await chat.ask("/backtest mean_reversion 4h")

    assert labels(nothing) == ["/backtest BTC/USDT", "/backtest ETH/USDT"]
    assert "/backtest BTC/USDT mean_reversion" in labels(pair)
    assert labels(both) == ["/backtest BTC/USDT mean_reversion 1h", "/backtest BTC/USDT mean_reversion 4h"]
    assert labels(rule) == ["/backtest BTC/USDT mean_reversion 4h", "/backtest ETH/USDT mean_reversion 4h"]
    assert all(len(label.encode()) <= 64 for message in (nothing, pair, both, rule) for label in labels(message))
    assert await rows(chat) == []
    # A market with one timeframe needs no question.
    assert "ETH/USDT · 1h" in await chat.said("/backtest eth mean_reversion")


@pytest.mark.parametrize(
    ("line", "said", "label"),
    [
        ("/backtest doge", "“doge” is nothing that we know. Which pair", "/backtest BTC/USDT"),
        ("/backtest btc moon", "“moon” is nothing that we know. Which strategy", "/backtest BTC/USDT mean_reversion"),
        (
            "/backtest eth mean_reversion 4h",
            "“4h” is nothing that we know. Which timeframe of ETH/USDT",
            "/backtest ETH/USDT mean_reversion 1h",
        ),
        (f"/backtest {'x' * 4000}", "xx… is nothing".replace("…", "…”"), "/backtest BTC/USDT"),
    ],
)
async def test_what_we_do_not_know_is_said(chat: Chat, line: str, said: str, label: str) -> None:
    message = await chat.ask(line)

    assert said in message.plain
    assert label in labels(message)
    assert await rows(chat) == []


async def test_a_repeated_question_is_one_job_and_a_second_one_has_to_wait(chat: Chat) -> None:
    await chat.ask("/backtest eth mean_reversion")

    assert "is running already" in await chat.said("/backtest eth mean_reversion")
    assert "is still on its way; ask again" in await chat.said("/backtest btc mean_reversion 4h")
    assert len(await rows(chat)) == 1


async def test_a_question_that_was_answered_within_the_hour_is_answered_at_once(chat: Chat) -> None:
    await chat.ask("/backtest eth mean_reversion")
    async with chat.db.transaction() as session:
        job = await jobs.claim(session, now=chat.now, lease=30)
        assert job is not None
        found = {name: value for name, value in FACTS.items() if name != "id"}
        await jobs.finish(session, job, found | {"symbol": "ETH/USDT", "equity": []}, now=chat.now)

    message = await chat.ask("/backtest eth mean_reversion")

    assert message.plain.startswith("Backtest · ETH/USDT · 1h · mean_reversion")
    assert message.about == "backtest:1"


async def test_an_answer_that_only_the_asker_sees_goes_home_when_it_comes_too_late(chat: Chat) -> None:
    [reply] = await chat.replies("/backtest eth mean_reversion", answer_at="!token")

    [row] = await rows(chat)
    assert reply.address == row.address == "!token"
    assert row.request["home"] == "7"
    assert datetime.fromisoformat(row.request["until"]) == chat.now + timedelta(minutes=13)


async def test_in_public_the_result_goes_to_the_private_chat(chat: Chat) -> None:
    replies = await chat.replies("/backtest eth mean_reversion", chat="-100")

    assert [reply.address for reply in replies] == ["7", "-100"]
    assert "ETH" not in replies[1].message.plain
    assert (await rows(chat))[0].address == "7"
