"""`signalstack verify` as its reader meets it: one verdict, one reason, the documented exit codes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot import verify
from core import db
from core.signals import entries
from tests.bot.test_front_door import Run, run  # noqa: F401 - the fixture
from tests.core.signals import ledger, test_record

MADE = ledger.story(3)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b"".join(MADE.whole))
    return path


def test_a_record_in_a_file_is_right(run: Run, kept: Path) -> None:  # noqa: F811
    code, output, errors = run("verify", str(kept))
    assert (code, errors) == (0, "")
    assert output.startswith(f"RIGHT: {len(MADE.entries)} entries; every line, hash, commitment and result is right.\n")
    assert MADE.head in output
    assert "does not show" in output


def test_no_configuration_is_needed_for_a_file(run: Run, kept: Path) -> None:  # noqa: F811
    assert run("verify", str(kept), TELEGRAM_BOT_TOKEN="nonsense", DATABASE_URL="mysql://nobody")[0] == 0


def test_a_broken_record_names_its_first_wrong_entry(run: Run, kept: Path) -> None:  # noqa: F811
    lines = MADE.whole
    del lines[4]
    kept.write_bytes(b"".join(lines))
    code, output, _ = run("verify", str(kept))
    assert (code, output) == (1, "NOT RIGHT: Entry 5 is missing: entry 6 stands in its place.\n")


def test_a_head_that_was_posted_is_found_or_not(run: Run, kept: Path) -> None:  # noqa: F811
    posted = MADE.entries[5]["hash"]
    for said in (posted, posted[:12], posted.upper()):
        code, output, _ = run("verify", str(kept), "--head", said)
        assert code == 0
        assert "is the hash of entry 6; up to there all is as it was" in output
    code, output, _ = run("verify", str(kept), "--head", "f" * 64)
    assert code == 1
    assert "NOT FOUND" in output
    for nonsense in ("abc", "x" * 64, "a" * 65):
        assert run("verify", str(kept), "--head", nonsense)[0] == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Entry 1 is missing"),
        (b"\0" * 200_000, "Entry 1 is longer than"),
        (b"x" * 70_000 + b"\n", "Entry 1 is longer than"),
        (b"<html>\n", "Entry 1 is not readable"),
        (b"".join(MADE.whole)[:-1], f"Entry {len(MADE.entries) + 1} was cut off"),
        (b"".join(MADE.whole) + b"x", "behind the line that ends the record"),
    ],
)
def test_whatever_the_file_holds_the_answer_is_one_sentence(
    run: Run,  # noqa: F811
    tmp_path: Path,
    content: bytes,
    words: str,
) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    code, output, errors = run("verify", str(path))
    assert (code, errors) == (1, "")
    assert words in output
    assert len(output.splitlines()) == 1


def test_what_cannot_be_read_is_said(run: Run, tmp_path: Path) -> None:  # noqa: F811
    for source in ("nowhere.jsonl", str(tmp_path), "ftp://example.org/record.jsonl", "file:///etc/passwd"):
        code, output, errors = run("verify", source)
        assert (code, output) == (1, "")
        assert "cannot be read" in errors
        assert len(errors.splitlines()) == 1
    assert "cannot be read" in run("verify", "http://127.0.0.1:9/record.jsonl")[2]


class Site:
    """A web site in a thread of its own, for a command that runs its own event loop."""

    def __init__(self) -> None:
        self.body = b"".join(MADE.whole)
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)

    async def _live(self) -> None:
        app = web.Application()
        app.router.add_get("/record.jsonl", self._record)
        app.router.add_get("/moved", self._moved)
        app.router.add_get("/round", self._round)
        app.router.add_get("/away", self._away)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await asyncio.to_thread(self._over.wait)
        await runner.cleanup()

    async def _record(self, _: web.Request) -> web.Response:
        return web.Response(body=self.body)

    async def _moved(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/record.jsonl")

    async def _round(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/round")

    async def _away(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("file:///etc/passwd")


@pytest.fixture
def site() -> Iterator[Site]:
    opened = Site()
    opened.start()
    yield opened
    opened.stop()


def test_a_record_at_an_address_is_right_or_named(run: Run, site: Site) -> None:  # noqa: F811
    here = f"http://127.0.0.1:{site.port}"
    for path in ("", "/", "/record", "/record.jsonl", "/moved"):
        assert run("verify", here + path)[0] == 0, path
    site.body = site.body.replace(b'"n":2,', b'"n":3,')
    assert run("verify", here)[1].startswith("NOT RIGHT: Entry 2 was changed")
    for path, words in (("/nothing", "status 404"), ("/round", "cannot be read"), ("/away", "cannot be read")):
        code, output, errors = run("verify", here + path)
        assert (code, output) == (1, "")
        assert words in errors
        assert len(errors.splitlines()) == 1


async def _fill(url: str) -> None:
    database = db.Database(url)
    signal_id = await test_record.opened(database)
    await test_record.met(database, signal_id, 40, "100.50", "101.00", "94.00", "95.00")
    await test_record.opened(database, candle=50)
    await database.close()


def test_without_a_name_the_own_record_is_checked(
    run: Run,  # noqa: F811
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify, "_PAGE", 2)
    given: dict[str, Any] = {"DATABASE_URL": database_url, "SECRET_KEY": "a-secret-for-this-test"}
    empty = run("verify", **given)
    assert (empty[0], empty[1].splitlines()[0][:16]) == (0, "RIGHT: 0 entries")
    _alone(lambda: asyncio.run(_fill(database_url)))
    code, output, _ = run("verify", **given)
    assert code == 0
    assert "RIGHT: 3 entries" in output
    assert "open: 1, the oldest since 2023-03-02T16:00:02.000Z." in output


def _alone(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_help_names_the_command(run: Run) -> None:  # noqa: F811
    assert "verify" in run("--help")[1]
    assert entries.NOTHING not in run("verify", "--help")[1]
