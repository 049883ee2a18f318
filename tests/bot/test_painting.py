"""Pictures of ends and of backtests: what happened stands on them, and each is uploaded once."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot import painting, pictures
from bot.messages import text
from core import clock, db, models, stack
from core.columns import Level
from core.delivery import claims
from core.market import candles
from core.signals import charts
from tests import conftest
from tests.bot import signals
from tests.bot import stage as stages
from tests.core import people

HALF = Decimal("0.5")
LEVELS = (Level(Decimal(27600), HALF, Decimal("27412.1")), Level(Decimal(27900), HALF))


@pytest.fixture
async def held(sqlite_database: db.Database, make_stack: conftest.StackMaker) -> stack.Stack:
    return await make_stack(sqlite_database, book=people.BOOK)


def event(name: str, price: str, hours: int, **given: Any) -> models.SignalEvent:
    candle = signals.CANDLE + hours * signals.HOUR
    return models.SignalEvent(event=name, price=Decimal(price), candle=candle, at=clock.from_ms(candle), **given)


async def ended(held: stack.Stack, *events: models.SignalEvent, lived: int = 7, **given: Any) -> models.Signal:
    """A signal that was stopped, with these events and with candles from before it until its end."""
    signal = signals.ended(models.SignalStatus.STOPPED, "27506.05", lived, filled=Decimal("27412.1"), **given)
    market = candles.Key(signal.exchange, signal.symbol, signal.timeframe)
    async with held.db.transaction() as session:
        session.add(signal)
        await session.flush()
        for one in events:
            one.signal_id = signal.id
            session.add(one)
        rows = [stages.candle(signals.CANDLE + hour * signals.HOUR) for hour in range(-30, lived + 3)]
        await candles.keep(session, market, rows)
    return signal


def parcel(kind: str, **given: Any) -> claims.Parcel:
    values = dict.fromkeys(claims.Parcel.__slots__) | {"kind": kind, "id": 1, "signal_id": None} | given
    return claims.Parcel(**values)


async def test_an_end_shows_the_parts_that_left_and_the_stop_that_moved(
    held: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, charts.Chart]] = []
    draw = charts.draw
    monkeypatch.setattr(charts, "draw", lambda *given: (drawn.append((len(given[0]), given[1])), draw(*given))[1])
    opened = event("opened", "27412.1", 0, share=Decimal(0), stop=Decimal(27100))
    first = event("target1", "27600", 3, share=HALF, stop=Decimal("27412.1"))
    last = event("stopped", "27412.1", 7, share=HALF, stop=Decimal("27412.1"))

    await painting.ending(held, await ended(held, opened, first, last, targets=LEVELS, reached=1))

    [(_, chart)] = drawn
    third, seventh = (clock.from_ms(signals.CANDLE + hours * signals.HOUR) for hours in (3, 7))
    assert chart.targets == ((Decimal(27600), HALF), (Decimal(27900), HALF))
    assert chart.parts == ((third, Decimal(27600)),)
    assert chart.stops == ((third, Decimal("27412.1")),)
    assert (chart.exit_price, chart.exit_at, chart.outcome) == (Decimal("27412.1"), seventh, "stopped")
    assert chart.result == "+0.34%"


async def test_a_signal_from_before_there_were_events_has_its_end_all_the_same(held: stack.Stack) -> None:
    assert (await painting.ending(held, await ended(held))).startswith(b"\x89PNG")


async def test_a_signal_that_lasted_long_is_drawn_with_what_came_before(
    held: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(charts, "draw", lambda series, _: (lengths.append(len(series)), b"")[1])

    await painting.ending(held, await ended(held, lived=130))

    assert lengths == [150]


async def test_openings_and_ends_are_pictures_of_their_own(held: stack.Stack) -> None:
    signal, shown = await ended(held, event("stopped", "27506.05", 7)), pictures.Pictures(held, "telegram")

    async with shown.to(text.message("It begins"), signal, "opening") as opening:
        await shown.keep(opening.key, "file-1")
    async with shown.to(text.message("It is over"), signal, "update") as end:
        await shown.keep(end.key, "file-2")
    async with shown.to(text.message("An answer", about="signal:12"), signal, "reply") as asked:
        assert asked.file_id == "file-2"

    assert (opening.key, end.key) == ("signal:12", "signal:12:end")
    assert opening.data != end.data
    assert pictures.about(parcel("reply", payload={"message": {"about": "signal:12"}})) == 12
    assert pictures.about(parcel("notice", payload={"name": "broadcast"})) == 0


async def test_a_backtest_is_drawn_for_one_reader_and_keeps_no_name(held: stack.Stack, now: datetime) -> None:
    found = {
        "symbol": "BTC/USDT",
        "timeframe": "1h",
        "strategy": "mean_reversion",
        "summary": {"trades": 2, "drawdown_r": 1.03},
    }
    done = {"request": {}, "state": "done", "created_at": now}
    result = found | {"equity": [[1_678_780_800_000, -1.03], [1_678_980_800_000, 0.6]]}
    async with held.db.transaction() as session:
        session.add_all([models.Backtest(id=3, key="a", result=result, **done), models.Backtest(id=4, key="b", **done)])
    shown = pictures.Pictures(held, "telegram")

    async with shown.to(text.message("Done", about="backtest:3"), None, "reply") as picture:
        assert picture.data is not None
        assert picture.key == ""
    for missing in (4, 5):
        async with shown.to(text.message("Done", about=f"backtest:{missing}"), None, "reply") as picture:
            assert picture == pictures.Picture("")
    async with shown.to(text.message("Words"), None, "reply") as picture:
        assert picture == pictures.Picture("")


async def test_the_end_of_a_signal_comes_with_its_chart_to_everybody_after_one_upload(stage: stages.Stage) -> None:
    chats = await stage.join(5)
    signal = await stage.publish()
    await stage.delivered()
    stage.clock.ahead += timedelta(seconds=1)
    await stage.end(signal)

    await stage.delivered()

    ends = [stage.world.chat(chat)[-1] for chat in chats]
    assert {message.text.splitlines()[0].partition(" ·")[0] for message in ends} == {"✓ Target hit"}
    assert len({message.photo for message in ends}) == 1
    assert ends[0].photo not in {None, stage.world.chat(chats[0])[0].photo}


async def test_an_answer_shows_the_chart_of_the_signal_that_it_is_about(stage: stages.Stage) -> None:
    [chat] = await stage.join(1)
    signal = await stage.publish()
    await stage.delivered()
    await stage.reply(chat, text.message("Of 100", picture=True, about=f"signal:{signal.id}").as_dict())
    await stage.delivered(urgent=True)
    await stage.reply(chat, text.message("Of none", picture=True, about="signal:999").as_dict())

    await stage.delivered(urgent=True)

    opening, shown, words = stage.world.chat(chat)
    assert (shown.text, shown.photo) == ("Of 100", opening.photo)
    assert (words.text, words.photo) == ("Of none", None)
    assert not shown.options.get("protect_content")
