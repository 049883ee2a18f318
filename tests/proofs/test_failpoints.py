"""A short dose of the proof with failpoints, and what a failpoint costs while there is none."""

import time
from pathlib import Path

import pytest

from core import failpoints
from tests.proofs import failpoints as proof


@pytest.mark.timeout(300)
async def test_s07_s08_killed_between_event_and_access_nobody_who_paid_is_without(
    tmp_path: Path, postgres_url: str
) -> None:
    points = ("event.uncommitted", "errand.called")
    outcome = await proof.prove(tmp_path, postgres_url, proof.Scale(kills=1, points=points, passes=1))
    assert outcome.ok, str(outcome)
    assert outcome.kills.total() == 2


def test_failpoint_that_nobody_set_costs_next_to_nothing() -> None:
    began = time.perf_counter()
    for _ in range(100_000):
        failpoints.reach("inbox.claimed")
    assert time.perf_counter() - began < 0.5  # 5 µs each; in truth a fiftieth of that


@pytest.mark.parametrize(("setting", "passes"), [("here", 1), ("here:1", 1), ("here:3", 3), ("here:x", 1)])
def test_failpoint_ends_the_process_when_its_place_was_reached_often_enough(
    setting: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, how: killed.append(how))
    fuse = failpoints.Fuse(setting)
    for _ in range(passes - 1):
        fuse.reach("here")
        fuse.reach("elsewhere")
    assert killed == []
    fuse.reach("here")
    assert killed == [9]


def test_every_named_place_is_in_the_code_once() -> None:
    root = Path(__file__).parents[2]
    told = "".join(path.read_text() for path in (root / "webhooks").rglob("*.py"))
    assert {name: told.count(f'failpoints.reach("{name}")') for name in failpoints.NAMES} == dict.fromkeys(
        failpoints.NAMES, 1
    )
