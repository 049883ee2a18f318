"""An alert from outside is a signal once, over a real socket; who does not know the secret learns nothing."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from limits import RateLimitItemPerMinute
from sqlalchemy import select

from core import catalogue, clock, db, models, switches
from core.market import candles
from core.models import Alarm, Delivery, Signal
from tests.conftest import StackMaker
from tests.core import people
from tests.sandbox.server import serving
from webhooks import intake, limits, server

SECRET = "tv-0123456789abcdef-0123456789"
OTHER = "vd-0123456789abcdef-0123456789"
BOOK = people.BOOK.model_copy(
    update={
        "watches": (catalogue.Watch(symbol="BTC/USDT"), catalogue.Watch(symbol="ETH/USDT")),
        "intakes": (catalogue.Intake(key="tradingview"), catalogue.Intake(key="vendor")),
    }
)
ALERT = {"ticker": "BTCUSDT", "action": "buy", "price": "100", "sl": "95", "tp1": 105, "tp2": "110", "comment": "cross"}


@dataclass
class Door:
    """The site with its intakes, a market at 100.00 whose candle closed just now, and one who pays."""

    database: db.Database
    url: str
    http: aiohttp.ClientSession
    now: datetime
    stack: Any
    payer: models.Identity
    told: list[str] = field(default_factory=list)

    async def post(self, body: Any, source: str = "tradingview", **headers: str) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.http.post(f"{self.url}/intake/{source}", data=raw, headers=headers) as answer:
            return answer.status, await answer.json()

    async def alert(self, **said: Any) -> tuple[int, dict[str, Any]]:
        return await self.post({"secret": SECRET, "at": self.now.isoformat()} | ALERT | said)

    async def rows(self, table: type[Any]) -> list[Any]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(table).order_by(*table.__table__.primary_key)))

    async def alarms(self) -> dict[str, tuple[str, int]]:
        return {row.key: (row.text, row.count) for row in await self.rows(Alarm)}


async def _opened(database: db.Database, make_stack: StackMaker, now: datetime) -> AsyncIterator[Door]:
    key = candles.Key("binance", "BTC/USDT", "1h")
    async with database.transaction() as session:
        last = candles.Candle(clock.to_ms(now) - 3_600_000, *map(Decimal, (100, 101, 99, 100, 1)))
        await candles.keep(session, key, [last])
        await candles.keep_tick(session, *key[:2], Decimal("0.01"), now=now)
        payer = await people.payer(session, now)
    secrets = f"tradingview={SECRET},vendor={OTHER}"
    door = Door(database, "", aiohttp.ClientSession(), now, None, payer)
    door.stack = await make_stack(database, book=BOOK, clock=lambda: door.now, intake_secrets=secrets)
    async with serving(server.build(door.stack)) as door.url, door.http:
        yield door


@pytest.fixture
async def door(database: db.Database, make_stack: StackMaker, now: datetime) -> AsyncIterator[Door]:
    async for one in _opened(database, make_stack, now):
        yield one


@pytest.fixture
async def lite(sqlite_database: db.Database, make_stack: StackMaker, now: datetime) -> AsyncIterator[Door]:
    async for one in _opened(sqlite_database, make_stack, now):
        yield one


def signed(body: Any, at: str, secret: str = OTHER) -> tuple[bytes, dict[str, str]]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    digest = hmac.new(secret.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
    return raw, {intake.SIGNATURE: digest, intake.TIMESTAMP: at}


async def test_an_alert_becomes_a_signal_for_everybody_who_pays(door: Door) -> None:
    status, said = await door.alert()

    (signal,) = await door.rows(Signal)
    assert (status, said) == (201, {"signal": signal.id, "status": "published"})
    assert (signal.strategy, signal.symbol, signal.direction) == ("intake_tradingview", "BTC/USDT", "long")
    assert [(level.price, level.share) for level in signal.levels] == [
        (Decimal(105), Decimal("0.5")),
        (Decimal(110), Decimal("0.5")),
    ]
    assert (signal.reason, signal.candle) == ("cross", clock.to_ms(door.now))
    (row,) = await door.rows(Delivery)
    assert (row.member_id, row.event) == (door.payer.member_id, "opened")
    assert await door.stack.bell.wait("outbox:telegram", timeout=0.01)  # a worker may be in another process
    assert SECRET not in repr(vars(signal))


async def test_the_same_alert_again_is_answered_with_its_number(door: Door) -> None:
    _, first = await door.alert()
    door.now += timedelta(seconds=30)

    assert await door.alert() == (200, {"signal": first["signal"], "status": "known"})
    assert await door.alert(id="x-1") == (201, {"signal": first["signal"] + 1, "status": "published"})
    assert (await door.alert(id="x-1", sl="94"))[0] == 200
    assert len(await door.rows(Delivery)) == 2


async def test_alerts_that_come_at_once_are_one_signal(door: Door) -> None:
    answers = await asyncio.gather(*(door.alert() for _ in range(5)))

    assert sorted(status for status, _ in answers) == [200, 200, 200, 200, 201]
    assert len(await door.rows(Signal)) == 1


async def test_a_signature_over_the_raw_body_is_as_good_as_the_secret(lite: Door) -> None:
    raw, headers = signed(ALERT, str(int(lite.now.timestamp())))

    assert (await lite.post(raw, "vendor", **headers))[0] == 201
    prefixed = {**headers, intake.SIGNATURE: "sha256=" + headers[intake.SIGNATURE].upper()}
    assert (await lite.post(raw, "vendor", **prefixed))[0] == 200


@pytest.mark.parametrize("late", [121, -31])
async def test_a_signature_is_good_for_a_moment(lite: Door, late: int) -> None:
    stamp = str(int((lite.now - timedelta(seconds=late)).timestamp()))
    raw, headers = signed(ALERT | {"at": lite.now.isoformat()}, stamp)

    status, said = await lite.post(raw, "vendor", **headers)

    assert status == 422
    assert ("too old" if late > 0 else "from the future") in said["error"]["message"]


async def test_whoever_does_not_know_the_secret_learns_nothing(lite: Door) -> None:
    raw, headers = signed({"secret": SECRET, **ALERT}, str(int(lite.now.timestamp())))
    tries = [
        await lite.post({**ALERT, "secret": "wrong"}),
        await lite.post(ALERT),
        await lite.post({**ALERT, "secret": OTHER}),
        await lite.post({**ALERT, "secret": [SECRET]}),
        await lite.post({**ALERT, "secret": SECRET[:-1]}),
        await lite.post(b"not json"),
        await lite.post(b""),
        await lite.post(b"[1]"),
        await lite.post(raw, **headers),  # the signature of another source, though the secret in the body is right
        await lite.post(raw, **{intake.SIGNATURE: "ü" * 64}),
    ]

    assert {status for status, _ in tries} == {401}
    assert len({orjson.dumps({**said, "request": ""}) for _, said in tries}) == 1
    assert await lite.rows(Signal) == []
    found = await lite.alarms()
    assert found == {
        "intake:tradingview:stranger": (
            "Intake tradingview: An alert came without its secret, or was no JSON.",
            2,  # more of them are not written down within a minute
        )
    }


async def test_an_unknown_source_is_an_address_that_does_not_exist(lite: Door) -> None:
    unknown = await lite.post({**ALERT, "secret": SECRET}, "nobody")
    async with lite.http.post(f"{lite.url}/intake/nobody/else", data=b"{}") as answer:
        nothing = answer.status, await answer.json()

    assert [unknown[1].pop("request") != nothing[1].pop("request"), unknown] == [True, nothing]
    assert unknown[0] == 404
    async with lite.http.get(f"{lite.url}/intake/vendor") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"at": None}, "at: it is missing; on TradingView write {{timenow}}."),
        ({"at": "2026-01-15T12:00:00"}, "at: write the time as in 2026-01-15T12:00:00Z, or in seconds since 1970."),
        ({"at": "2026-01-15T11:57:59Z"}, "It is too old: it was given 121 seconds ago."),
        ({"at": 1768478431}, "It is from the future"),
        ({"sl": ""}, "stop: it is missing."),
        ({"tp1": "", "tp2": None}, "targets: "),
        ({"tp": "105"}, "one of these alone"),
        ({"stop": "95"}, "stop: that was said before in another word."),
        ({"qty": 1}, "The field qty is not known."),
        ({SECRET: 1}, "The field with a long name is not known."),
        ({"sl": SECRET}, "stop: '[secret]' is no number."),
        ({"ticker": "DOGEUSDT"}, "DOGEUSDT is not among the watched markets"),
        ({"price": "103"}, "more than 2% away from the last price 100.00"),
        ({"action": "close"}, "direction: write long or short."),
        ({"ticker": "ETHUSDT"}, "No price of ETH/USDT is known yet"),
    ],
)
async def test_a_refusal_is_one_sentence_for_the_sender_and_one_alarm_for_the_operator(
    lite: Door, said: dict[str, Any], sentence: str
) -> None:
    for _ in range(3):
        status, answer = await lite.alert(**said)
        assert (status, answer["error"]["code"]) == (422, "refused")
        assert sentence in answer["error"]["message"]

    ((key, (text, count)),) = (await lite.alarms()).items()
    assert (key, count) == ("intake:tradingview:refused", 3)
    assert text == f"Intake tradingview: {answer['error']['message']}"
    assert SECRET not in text
    assert await lite.rows(Signal) == []


@pytest.mark.parametrize("at", [1768478400, "1768478400", 1768478400000, "1768478400.5", "2026-01-15T13:00:00+01:00"])
async def test_a_time_may_be_written_in_many_ways(lite: Door, at: Any) -> None:
    assert (await lite.alert(at=at))[0] == 201


async def test_targets_may_be_parts_with_stops_that_move(lite: Door) -> None:
    parts = [{"price": "105", "share": "0.7", "stop": "entry"}, {"price": 110.5, "share": 0.3}]

    assert (await lite.alert(tp1="", tp2="", targets=parts, expires="12"))[0] == 201

    (signal,) = await lite.rows(Signal)
    assert [(level.share, level.stop) for level in signal.levels] == [
        (Decimal("0.7"), Decimal(100)),
        (Decimal("0.3"), None),
    ]
    assert signal.expires - signal.candle == 13 * 3_600_000


async def test_a_pause_refuses_alerts(lite: Door) -> None:
    async with lite.database.transaction() as session:
        await switches.turn_on(session, switches.PAUSED, by="x", now=lite.now)

    status, said = await lite.alert()

    assert (status, "are paused" in said["error"]["message"]) == (422, True)


async def test_a_large_body_is_not_read(lite: Door) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1024

    assert (await lite.post(b" " * (intake.LIMIT + 1)))[0] == 413
    async with lite.http.post(f"{lite.url}/intake/vendor", data=slowly()) as answer:
        assert answer.status == 413


async def test_strangers_use_up_nothing_of_what_a_source_has(lite: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SOURCE", RateLimitItemPerMinute(3))
    for _ in range(5):
        assert (await lite.post({"secret": "x"}))[0] == 401

    codes = [(await lite.alert())[0] for _ in range(5)]

    assert codes == [201, 200, 200, 429, 429]
    text, _ = (await lite.alarms())["intake:tradingview:refused"]
    assert text == "Intake tradingview: More than 3 alerts came in a minute."


async def test_one_address_has_so_many_tries(lite: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INTAKE", RateLimitItemPerMinute(3))
    tries = [await lite.post({"secret": "x"}, source) for source in ("nobody", "vendor", "tradingview", "vendor")]

    assert [status for status, _ in tries] == [404, 401, 401, 429]


async def test_without_intakes_there_is_no_door(make_stack: StackMaker, sqlite_database: db.Database) -> None:
    made = await make_stack(sqlite_database, book=people.BOOK)
    async with (
        serving(server.build(made)) as url,
        aiohttp.ClientSession() as http,
        http.post(f"{url}/intake/tradingview", data=b"{}") as answer,
    ):
        assert answer.status == 404
