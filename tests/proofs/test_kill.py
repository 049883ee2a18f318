"""A short dose of the kill proof; the long one is `make prove`."""

from pathlib import Path

from tests.proofs import kill


async def test_q01_killed_in_fan_outs_nothing_is_lost_and_nothing_given_away(tmp_path: Path, postgres_url: str) -> None:
    scale = kill.Scale(members=120, paying=60, signals=4, kills=3, seed=3, rate=120, window=10)
    outcome = await kill.prove(tmp_path, postgres_url, scale)
    assert outcome.ok, str(outcome)
    assert outcome.kills == 3
    assert outcome.ambiguous <= 3 * 12
