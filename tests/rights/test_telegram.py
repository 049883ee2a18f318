"""X05, X06 on Telegram: every command by every kind of person in private, in groups and in channels."""

import pytest

from tests.rights import conftest, matrix, table


@pytest.mark.parametrize("place", table.TELEGRAM, ids=str)
async def test_x05_x06_everybody_gets_what_the_table_says(open_scene: conftest.SceneMaker, place: table.Place) -> None:
    at = await open_scene(place)

    tried = await matrix.everything(at)

    print(f"{place}: {tried}")
    assert matrix.whole(tried, at) == {}
    assert not tried.faults, tried.sentences()
