"""Whatever is sent to an intake, by whoever knows its secret or not, is answered with a sentence, never with a 500."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute

from core import db
from core.models import Signal
from tests.conftest import StackMaker
from tests.webhooks.test_intake import ALERT, SECRET, Door, _opened, signed
from webhooks import alerts, limits

_NAMES = st.sampled_from([*alerts._FIELDS, *alerts._AIMS, "secret"]) | st.text(max_size=30)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    | st.sampled_from(
        ["NaN", "1e999999999", "-0", "١٠٠", "9" * 400, "\x00", "BTC/USDT", "buy", "long", "entry", "100", 95]
    )
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.dictionaries(st.sampled_from(["price", "share", "stop", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(_NAMES, _VALUES, max_size=8)
_ALLOWED = {200, 201, 401, 422}


@pytest.fixture
async def door(sqlite_database: db.Database, make_stack: StackMaker, now: datetime) -> AsyncIterator[Door]:
    with pytest.MonkeyPatch.context() as patch:
        for rule in ("INTAKE", "SOURCE"):
            patch.setattr(limits, rule, RateLimitItemPerMinute(1_000_000))
        async for one in _opened(sqlite_database, make_stack, now):
            yield one


_SLOWLY = hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def sent(door: Door, body: Any, source: str = "tradingview", **headers: str) -> int:
    status, said = await door.post(body, source, **headers)
    assert status in _ALLOWED, (status, said)
    if status == 422:
        assert 0 < len(said["error"]["message"]) < 400
        assert SECRET not in said["error"]["message"]
    return status


@_SLOWLY
@given(said=_OBJECTS)
@example(said={"reason": "\x00", "sl": "95", "tp": "110"})
@example(said={"at": 1e308})
@example(said={"targets": [[[[1]]]]})
async def test_any_object_with_the_secret_is_taken_or_refused(door: Door, said: dict[str, Any]) -> None:
    for body in (said | {"secret": SECRET}, ALERT | {"at": door.now.isoformat()} | said | {"secret": SECRET}):
        assert await sent(door, body) != 401


@_SLOWLY
@given(raw=st.binary(max_size=300) | st.builds(orjson.dumps, _VALUES))
@example(raw=b'{"secret":' + b"[" * 2000)
@example(raw=b'{"secret": "\\ud800"}')
async def test_any_bytes_are_answered(door: Door, raw: bytes) -> None:
    assert await sent(door, raw) == 401
    body, headers = signed(raw, str(int(door.now.timestamp())))
    assert await sent(door, body, "vendor", **headers) == 422


@_SLOWLY
@given(stamp=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
async def test_any_signed_time_is_answered(door: Door, stamp: str) -> None:
    body, headers = signed(ALERT, stamp)

    await sent(door, body, "vendor", **headers)


async def test_no_more_signals_are_open_than_a_source_may_have(door: Door) -> None:
    codes = [(await door.alert(id=str(number)))[0] for number in range(25)]

    assert codes == [201] * 20 + [422] * 5
    assert len(await door.rows(Signal)) == 20
