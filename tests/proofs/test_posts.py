"""A short dose of the proof of posts; the long one is `make prove`."""

from pathlib import Path

from tests.proofs import posts


async def test_killed_while_posting_in_channels_nothing_is_lost_and_nothing_doubled(
    tmp_path: Path, postgres_url: str
) -> None:
    outcome = await posts.prove(tmp_path, postgres_url, posts.Scale(kills=3, rooms=5, seed=5))
    assert outcome.ok, str(outcome)
    assert outcome.posts >= 15
