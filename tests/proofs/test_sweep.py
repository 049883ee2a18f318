"""A short dose of the proof of rounds; the long one is `make prove`."""

from pathlib import Path

from tests.proofs import sweep


async def test_rounds_repair_what_events_did_not_tell_with_bounded_requests(tmp_path: Path, postgres_url: str) -> None:
    outcome = await sweep.prove(tmp_path, postgres_url, sweep.Scale(members=400, unpaid=60, missing=15, within=60))
    assert outcome.ok, str(outcome)
    assert outcome.repairs == 15 + 2 * 15
