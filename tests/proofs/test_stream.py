"""A short dose of the proof of the stream; the long one is `make prove`."""

from pathlib import Path

from tests.proofs import stream


async def test_through_lost_lines_a_restart_and_a_kill_every_tool_has_every_event_once_in_order(
    tmp_path: Path, postgres_url: str
) -> None:
    scale = stream.Scale(
        consumers=20, signals=40, processes=1, every=2.0, most=2, pause=0.08, patience=(5, 60), publishers=2, seed=3
    )
    outcome = await stream.prove(tmp_path, postgres_url, scale)
    assert outcome.ok, str(outcome)
    assert outcome.ended.total() >= 1
    assert outcome.dropped > 0
