"""A short dose of the road; the long one, on hourly and on 5-minute candles, is `make prove`."""

from pathlib import Path

from tests.proofs import road


async def test_the_road_on_five_minute_candles(tmp_path: Path) -> None:
    outcome = await road.prove(tmp_path, road.Scale(candles=60, members=4, paying=2))
    assert outcome.ok, str(outcome)
