"""The versions lead to the tables of core.models, on both databases, whoever runs them and how often."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, select, text

import migrations
from core import db, errors, models
from migrations import compare
from tests import databases

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[db.Database]:
    database = db.Database(empty_url)
    yield database
    await database.close()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts=compare.OPTIONS)
    found: list[Any] = compare_metadata(context, models.Base.metadata)
    return found


def shape(connection: Connection) -> dict[str, Any]:
    """What the database says of every table, including what Alembic does not compare, such as partial indexes."""
    look = inspect(connection)
    return {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in look.get_columns(table)],
            "primary": look.get_pk_constraint(table),
            "foreign": sorted(look.get_foreign_keys(table), key=str),
            "indexes": sorted(map(_index, look.get_indexes(table)), key=str),
            "unique": sorted(look.get_unique_constraints(table), key=str),
        }
        for table in sorted(look.get_table_names())
    }


def _index(index: Any) -> tuple[Any, ...]:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return index["name"], index["column_names"], bool(index["unique"]), options


async def test_versions_and_models_say_the_same(empty: db.Database) -> None:
    await migrations.upgrade(empty)
    async with empty.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrated_and_freshly_made_tables_have_one_shape(empty: db.Database, database_url_beside: str) -> None:
    await migrations.upgrade(empty)
    made = db.Database(database_url_beside)
    async with empty.engine.connect() as one, made.engine.connect() as other:
        assert await one.run_sync(shape) == await other.run_sync(shape)
    await made.close()


@pytest.fixture
def database_url_beside(empty_url: str, request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if empty_url.startswith("sqlite") else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


async def test_an_empty_database_is_behind_until_it_is_upgraded(empty: db.Database) -> None:
    assert await migrations.pending(empty)
    await migrations.upgrade(empty)
    assert not await migrations.pending(empty)


async def test_a_second_upgrade_keeps_what_is_there(empty: db.Database, now: datetime) -> None:
    await migrations.upgrade(empty)
    async with empty.transaction() as session:
        session.add(models.Member(created_at=now))
    await migrations.upgrade(empty)
    async with empty.reading() as session:
        assert len((await session.scalars(select(models.Member))).all()) == 1


async def test_two_upgrades_at_once_in_one_process(empty: db.Database) -> None:
    other = db.Database(empty.url.render_as_string(hide_password=False))
    await asyncio.gather(*(migrations.upgrade(each) for each in (empty, other, empty)))
    assert not await migrations.pending(empty)
    await other.close()


_UPGRADE = """
import asyncio, sys
import migrations
from core import db
async def main():
    database = db.Database(sys.argv[1])
    await migrations.upgrade(database)
    await database.close()
asyncio.run(main())
"""


async def test_two_processes_may_upgrade_at_once(empty: db.Database) -> None:
    url = empty.url.render_as_string(hide_password=False)
    start = [sys.executable, "-c", _UPGRADE, url]
    processes = [await asyncio.create_subprocess_exec(*start, cwd=ROOT) for _ in range(2)]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0, 0]
    assert not await migrations.pending(empty)


async def test_a_failed_upgrade_leaves_nothing_behind(empty: db.Database) -> None:
    async with empty.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE signals (n int)"))
    with pytest.raises(Exception, match="signals"):
        await migrations.upgrade(empty)
    async with empty.engine.connect() as connection:
        tables = await connection.run_sync(lambda inner: inspect(inner).get_table_names())
    assert tables == ["signals"]
    assert await migrations.pending(empty)


async def test_a_database_of_a_newer_version_is_refused(empty: db.Database) -> None:
    await migrations.upgrade(empty)
    async with empty.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(errors.ConfigError, match="9999"):
        await migrations.pending(empty)
    with pytest.raises(errors.ConfigError, match="9999"):
        await migrations.upgrade(empty)


async def test_downgrades_are_refused_and_change_nothing(empty: db.Database) -> None:
    await migrations.upgrade(empty)

    def downgrade(connection: Connection) -> None:
        asked = migrations.config()
        asked.attributes["connection"] = connection
        command.downgrade(asked, "base")

    with pytest.raises(NotImplementedError, match="backup"):
        async with empty.engine.begin() as connection:
            await connection.run_sync(downgrade)
    assert not await migrations.pending(empty)


async def test_foreign_keys_are_checked_again_after_an_upgrade(tmp_path: Path) -> None:
    database = db.Database(f"sqlite:///{tmp_path / 'one.db'}")
    await migrations.upgrade(database)
    async with database.engine.connect() as connection:
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await database.close()


async def test_tables_made_for_tests_count_as_migrated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'made.db'}"
    await databases.create_tables(url)
    database = db.Database(url)
    assert not await migrations.pending(database)
    await database.close()


def test_versions_are_one_line_without_branches() -> None:
    names = [script.revision for script in migrations.scripts().walk_revisions()]
    assert names == [f"{number:04}" for number in range(len(names), 0, -1)]
