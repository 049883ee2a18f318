"""A short dose of the hostile clients; the long one is `make prove`."""

from pathlib import Path

from tests.proofs import hostile


async def test_slow_and_oversized_clients_change_nothing_for_the_others(tmp_path: Path, postgres_url: str) -> None:
    outcome = await hostile.prove(tmp_path, postgres_url, hostile.Scale(clients=70, calm=1, seconds=3))
    assert outcome.ok, str(outcome)
