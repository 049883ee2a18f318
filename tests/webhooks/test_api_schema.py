"""A short dose of the proof that the API answers as it is described; the long one is `make prove`."""

from pathlib import Path

import pytest

from tests.proofs import schema


@pytest.mark.timeout(90)
async def test_the_api_answers_everything_as_it_is_described(tmp_path: Path, sqlite_url: str) -> None:
    outcome = await schema.prove(tmp_path, sqlite_url, schema.Scale(examples=8, within=80))
    assert outcome.ok, str(outcome)
    assert outcome.cases > 500
    assert {"200", "201", "202", "401", "404", "405", "422"} <= outcome.statuses.keys()
    assert not {one for one in outcome.statuses if one.startswith("5")}
