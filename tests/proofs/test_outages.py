"""A short dose of the outages; the long one is `make prove`."""

from pathlib import Path

import pytest

from tests.proofs import outages


@pytest.mark.timeout(300)
async def test_q10_q11_q12_database_redis_and_product_go_away_in_fan_outs_and_nothing_is_lost(tmp_path: Path) -> None:
    outcome = await outages.prove(tmp_path, outages.Scale(paying=30, rounds=1, seed=3))
    assert outcome.ok, str(outcome)
    assert len(outcome.stops) == 1
