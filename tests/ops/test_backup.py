"""A backup is whole, small in rights and few in number; the drill proves that it can be used, and says so."""

import asyncio
import os
import secrets
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, make_url, select, text

from bot import copies, restoring
from core import db, errors, models
from core.signals import record
from tests import servers
from tests.bot.test_front_door import Run, run  # noqa: F401 - a fixture
from tests.core import people

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client programs of the tests' own PostgreSQL."""
    monkeypatch.setenv("PATH", f"{servers._postgres_programs()}{os.pathsep}{os.environ['PATH']}")


async def filled(database: db.Database) -> None:
    """A member, and a record with three entries."""
    async with database.transaction() as session:
        await people.person(session, NOW)
    for _ in range(3):
        async with database.transaction() as session:
            given = await people.signal(session, NOW)
            told = {"price": given.entry, "candle": given.candle, "at": NOW}
            opened = models.SignalEvent(signal_id=given.id, event="opened", **told)
            session.add(opened)
            await session.flush()
            await record.append(session, given, opened, now=NOW)


async def backed_up(database: db.Database, folder: Path) -> Path:
    return await copies.write(database, folder, now=NOW)


async def test_a_backup_can_be_restored_and_the_drill_says_what_it_proved(
    database: db.Database, tmp_path: Path
) -> None:
    await filled(database)
    file = await backed_up(database, tmp_path / "backups")
    assert file.name == f"signalstack-20260115T120000Z.{'db' if database.dialect == 'sqlite' else 'dump'}"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path for path in file.parent.iterdir() if path != file] == []
    said: list[str] = []
    work = restoring.from_sqlite if database.dialect == "sqlite" else _with(database)
    assert await work(file, said.append) == 0
    async with database.reading() as session:
        head = await record.head(session)
    assert said[1] == "  ok   schema: the one of this version"
    assert said[2].startswith("  ok   rows: members 1, subscriptions 0, signals 3, record_entries 3, ")
    assert said[3] == f"  ok   record: 3 entries, every hash and result is right; newest hash {head.hash}"
    assert said[4].startswith(f"{file} can be restored.")
    if database.dialect == "postgresql":
        async with database.reading() as session:
            names = await session.scalars(text("SELECT datname FROM pg_database"))
            assert not [name for name in names if "drill" in name]


def _with(database: db.Database) -> Callable[..., object]:
    return lambda file, say: restoring.from_postgres(database, file, say)  # type: ignore[return-value]


async def test_a_copy_that_is_made_while_others_write_is_of_one_moment(
    sqlite_database: db.Database, tmp_path: Path
) -> None:
    await filled(sqlite_database)
    over = False

    async def others() -> None:
        """Two rows in each transaction: a copy of one moment has an even number of them."""
        number = 0
        while not over:
            async with sqlite_database.transaction() as session:
                for _ in range(2):
                    number += 1
                    session.add(models.Switch(name=str(number), by="x" * 64, at=NOW))
            await asyncio.sleep(0)

    writing = asyncio.create_task(others())
    for number in range(3):
        file = await copies.write(sqlite_database, tmp_path / "b", now=NOW + timedelta(seconds=number))
        with closing(sqlite3.connect(file)) as copy:
            assert copy.execute("SELECT count(*) % 2 FROM switches").fetchone() == (0,)
    over = True
    await writing


async def test_a_record_that_was_changed_in_the_backup_is_no_good(sqlite_database: db.Database, tmp_path: Path) -> None:
    await filled(sqlite_database)
    file = await backed_up(sqlite_database, tmp_path)
    with closing(sqlite3.connect(file)) as copy:
        copy.execute("DROP TRIGGER record_entries_no_update")
        copy.execute("UPDATE record_entries SET line = replace(line, 'opened', 'closed') WHERE n = 2")
        copy.commit()
    with pytest.raises(errors.SignalStackError, match="Entry 2"):
        await restoring.from_sqlite(file, lambda _: None)


async def test_a_row_that_is_torn_off_is_found(sqlite_database: db.Database, tmp_path: Path) -> None:
    await filled(sqlite_database)
    file = await backed_up(sqlite_database, tmp_path)
    with closing(sqlite3.connect(file)) as copy:
        copy.execute("DELETE FROM members")
        copy.commit()
    with pytest.raises(errors.RefusedError, match="a row of identities refers to one that is not there"):
        await restoring.from_sqlite(file, lambda _: None)


async def test_the_live_database_is_not_touched_by_the_drill(sqlite_database: db.Database, tmp_path: Path) -> None:
    await filled(sqlite_database)
    file = await backed_up(sqlite_database, tmp_path)
    async with sqlite_database.transaction() as session:
        await session.execute(delete(models.Identity))
    before = file.read_bytes()
    await restoring.from_sqlite(file, lambda _: None)
    async with sqlite_database.reading() as session:
        assert (await session.scalars(select(models.Identity))).all() == []
    assert file.read_bytes() == before


def test_only_the_newest_are_kept_and_only_ours_are_removed(tmp_path: Path) -> None:
    for day in range(1, 6):
        (tmp_path / f"signalstack-2026010{day}T000000Z.db").touch()
        (tmp_path / f"signalstack-2026010{day}T000000Z.key").touch()
    others = ["notes.db", "signalstack.db", "signalstack-20260101T000000Z.txt"]
    for name in others:
        (tmp_path / name).touch()
    assert copies.remove_older(tmp_path, 2) == 3
    left = sorted(path.name for path in tmp_path.iterdir() if path.name not in others)
    assert left == [f"signalstack-2026010{day}T000000Z.{ending}" for day in (4, 5) for ending in ("db", "key")]
    assert all((tmp_path / name).exists() for name in others)


async def test_without_the_programs_of_postgresql_it_is_said_what_to_install(
    postgres_database: db.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.RefusedError, match="pg_dump is not installed here"):
        await backed_up(postgres_database, tmp_path)


async def test_an_error_of_pg_dump_is_said_in_its_words_and_leaves_no_file(postgres_url: str, tmp_path: Path) -> None:
    gone = db.Database(make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False))
    with pytest.raises(errors.UnreachableError, match=r'pg_dump did not do it: .*"nowhere" does not exist'):
        await backed_up(gone, tmp_path / "b")
    await gone.close()
    assert list((tmp_path / "b").iterdir()) == []


async def test_who_may_not_make_databases_is_told_what_the_drill_needs(
    postgres_database: db.Database, tmp_path: Path
) -> None:
    role = f"weak_{secrets.token_hex(4)}"
    async with postgres_database.transaction() as session:
        await session.execute(text(f"CREATE ROLE {role} LOGIN"))
    weak = db.Database(postgres_database.url.set(username=role).render_as_string(hide_password=False))
    with pytest.raises(errors.RefusedError, match="may not create databases; run the drill with a user that may"):
        await restoring.from_postgres(weak, tmp_path / "dump", lambda _: None)
    await weak.close()
    async with postgres_database.transaction() as session:
        await session.execute(text(f"DROP ROLE {role}"))


def test_a_backup_every_day_ends_when_it_is_told_to(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}",
    }
    command = [sys.executable, "-m", "bot"]
    subprocess.run([*command, "migrate"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [*command, "backup", "--every", "24"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("backups/signalstack-")
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert len(list((tmp_path / "backups").glob("*.db"))) == 1


def test_the_commands(run: Run, tmp_path: Path) -> None:  # noqa: F811
    assert run("backup", "--to", "b")[0] == 1  # there is no database yet
    assert run("migrate")[0] == 0
    code, said, _ = run("backup", "--to", "b", "--keep", "1")
    (file,) = (tmp_path / "b").glob("*.db")
    assert (code, said.startswith(f"b/{file.name} (")) == (0, True)
    assert file.with_suffix(".key").read_bytes() == (tmp_path / "a.key").read_bytes()
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        assert len(database.execute("SELECT value FROM figures WHERE name = 'backup_moment'").fetchall()) == 1
    assert run("restore-drill", str(file), DATABASE_URL="postgresql://nobody@127.0.0.1:9/x")[0] == 0
    (tmp_path / "text").write_text("no backup")
    for wrong, words in (("text", "text is no backup"), ("gone", "gone cannot be read")):
        code, _, error = run("restore-drill", wrong)
        assert (code, error.startswith(words)) == (1, True)
    (tmp_path / "dump").write_bytes(b"PGDMP...")
    assert "set DATABASE_URL to a PostgreSQL server" in run("restore-drill", "dump")[2]
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE x (y)")
    assert "it has not our tables" in run("restore-drill", "other.db")[2]


def test_a_backup_that_fails_is_an_alarm(run: Run, tmp_path: Path) -> None:  # noqa: F811
    run("migrate")
    (tmp_path / "file").touch()
    code, _, error = run("backup", "--to", "file/b")
    assert (code, "file/b cannot be written to" in error) == (1, True)
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        alarms = database.execute("SELECT key, text FROM alarms WHERE cleared_at IS NULL").fetchall()
    assert [(key, text.startswith("There is no new backup: file/b")) for key, text in alarms] == [
        ("backup:failed", True)
    ]
