"""X05, X06: every command by every kind of person in every kind of place, through the platforms as they are."""

import time
from collections.abc import Iterable, Sequence

import pytest

from tests.rights import conftest, judge, scene, table, verdict


async def tried(at: scene.Scene, command: str, right: table.Right, line: table.Line) -> tuple[set[str], list[str]]:
    """Everybody has tried this line; who did, and what was wrong with what came of it."""
    faults: list[str] = []
    others = [actor for actor in table.ACTORS if actor != table.OPERATOR]
    rounds: Sequence[Sequence[str]] = [others, [table.OPERATOR]] if right.operator else [table.ACTORS]
    done: set[str] = set()
    await at.renew()
    for actors in rounds:
        before = await at.effects() if right.operator else {}
        heard = await at.ask(command, line, actors)
        known = await at.known()
        for actor in actors:
            faults += verdict.faults(at.place, actor, command, line, heard[actor], known, at.own(actor))
        moved = right.operator and await at.effects() != before
        if moved and (actors is others or at.place.answers != table.AT_HOME):
            faults.append(f"/{command} {line.said} in the {at.place}: something moved for {actors}")
        done |= set(heard)
    return done, faults


@pytest.mark.parametrize("place", table.PLACES, ids=str)
async def test_x05_x06_everybody_gets_what_the_table_says(open_scene: conftest.SceneMaker, place: table.Place) -> None:
    at = await open_scene(place)
    began, faults = time.monotonic(), []
    done: set[tuple[str, str, str]] = set()
    for command, right in table.RIGHTS.items():
        for line in right.lines(place):
            actors, found = await tried(at, command, right, line)
            done |= {(command, actor, place.name) for actor in actors}
            faults += found
    print(len(done), time.monotonic() - began)
    assert not faults, "\n".join([str(len(faults)), *faults[:30]])
