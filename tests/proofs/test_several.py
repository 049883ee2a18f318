"""A short dose of several processes at once; the long one is `make prove`."""

from pathlib import Path

import pytest

from tests.proofs import several


@pytest.mark.timeout(300)
async def test_a03_a04_t08_t10_t11_t13_three_processes_share_everything_and_none_is_needed(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    scale = several.Scale(paying=20, visitors=200, waiting=50, rounds=1, kills=2, seed=3)
    outcome = await several.prove(tmp_path, postgres_url, redis_url, scale)
    assert outcome.ok, str(outcome)
    assert outcome.kills >= 1
    assert outcome.verdict.signals >= 3
