"""What docs/intake.md tells people to copy works as it stands there."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from core import catalogue, db
from core.models import Signal
from core.signals import outside
from tests.conftest import StackMaker
from tests.webhooks.test_intake import SECRET, Door, _opened
from webhooks import alerts, intake, limits

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text(encoding="utf-8")
CHART = {
    "timenow": "2026-01-15T12:00:00Z",
    "time": "2026-01-15T11:00:00Z",
    "exchange": "BINANCE",
    "ticker": "BTCUSDT",
    "close": "100.1",
    "plot_0": "95",
    "plot_1": "105.5",
    "plot_2": "NaN",
    "interval": "60",
}


@pytest.fixture
async def door(sqlite_database: db.Database, make_stack: StackMaker, now: datetime) -> AsyncIterator[Door]:
    async for one in _opened(sqlite_database, make_stack, now):
        yield one


def filled(**said: str) -> bytes:
    """The template as TradingView sends it."""
    (template,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: (CHART | said)[found[1]], template)
    return text.replace('"SECRET"', f'"{SECRET}"').encode()


async def test_the_template_for_tradingview_is_an_alert(door: Door) -> None:
    status, said = await door.post(filled(plot_2="110"), **{"Content-Type": "text/plain"})

    assert status == 201, said
    (signal,) = await door.rows(Signal)
    assert (str(signal.entry), len(signal.levels), signal.ref) == (
        "100.10",
        2,
        "buy BTCUSDT 60 2026-01-15T11:00:00Z",
    )
    assert (await door.post(filled(plot_2="110")))[0] == 200


async def test_a_line_without_a_value_is_said_to_have_none(door: Door) -> None:
    status, said = await door.post(filled())

    assert (status, said["error"]["message"]) == (422, "targets 2 price: 'NaN' is no finite number.")


def test_every_field_stands_in_the_table() -> None:
    table = PAGE[PAGE.index("### Fields") : PAGE.index("### Signed requests")]
    names = "".join("".join(line.split("|")[:3]) for line in table.splitlines())

    assert set(alerts._FIELDS) | {alerts.SECRET} == set(re.findall(r"`(\w+)`", names)) - {"tp1", "tp9"}


def test_the_limits_are_those_of_the_product() -> None:
    given = catalogue.Intake(key="x")
    for words in (
        f"max_age = {given.max_age} ",
        f"max_distance = {given.max_distance} ",
        f"expires_after = {given.expires_after} ",
        f"| open signals of the source | {outside.OPERATOR.most_open} | {outside.source(given).most_open} |",
        f"| {outside.OPERATOR.max_distance} % | `max_distance`, {given.max_distance} % |",
        f"more than {limits.SOURCE.amount} alerts of one source, or {limits.INTAKE.amount} requests",
        f"more than {intake.LIMIT // 1024} kB",
        f"{outside.AHEAD.seconds} seconds from the future",
    ):
        assert words in PAGE, words


def test_the_table_of_answers_is_json() -> None:
    for said in re.findall(r"`(\{\"signal\".*?\})`", PAGE):
        assert orjson.loads(said)["signal"] == 12
