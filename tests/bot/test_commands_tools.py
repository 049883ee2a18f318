"""Keys for members' own tools, asked for in the private chat."""

from datetime import datetime

import pytest
from sqlalchemy import select

from core import db, models
from tests.bot.desk import Chat, a_book


@pytest.fixture
async def chat(database: db.Database, now: datetime) -> Chat:
    made = Chat(database, now, a_book())
    await made.pays()
    return made


async def scopes(chat: Chat) -> dict[str, str]:
    async with chat.db.reading() as session:
        return {row.name: row.scopes for row in await session.scalars(select(models.ApiKey))}


async def test_a_key_looks_and_acts_unless_it_was_wished_to_look_only(chat: Chat) -> None:
    assert "sst_" in await chat.said("/apikey new my laptop")
    assert "set nothing going" in await chat.said("/apikey new wall display read")
    await chat.said("/apikey new read")
    assert await scopes(chat) == {"my laptop": "read act", "wall display": "read", "my tool": "read"}
    listed = await chat.said("/apikey")
    assert "my laptop · sst_" in listed
    assert listed.count("only looks · made") == 2
    assert listed.count("looks and acts · made") == 1
