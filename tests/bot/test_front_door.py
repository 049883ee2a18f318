"""The command line as an operator meets it: readable lines, the documented exit codes, never a traceback."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bot import __main__ as door
from bot import operator
from core import catalogue, db, stack
from tests.conftest import StackMaker
from tests.sandbox import telegram, world

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command with these settings in an empty folder; its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, **env: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name, value in {"DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}", **env}.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["signalstack", *arguments])
            with pytest.raises(SystemExit) as ended:
                door.main()
        output, errors = capsys.readouterr()
        assert "Traceback" not in output + errors
        return int(ended.value.code or 0), output, errors

    return called


class Sandbox:
    """A world in a thread of its own, for commands that run their own event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)
        self.environment: Mapping[str, str] = {}
        self.world: world.World

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)

    async def _live(self) -> None:
        async with world.World.open(self._folder, discord=False) as self.world:
            self.environment = self.world.environment()
            await self.world.telegram.start(world.MEMBER)
            self._ready.set()
            await asyncio.to_thread(self._over.wait)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    opened = Sandbox(tmp_path / "world")
    opened.start()
    yield opened
    opened.stop()


def test_help_names_every_command(run: Run) -> None:
    code, output, _ = run("--help")
    assert code == 0
    assert all(name in output for name in ("run", "migrate", "check", "scan", "grant", "revoke", "members", "stripe"))


def test_a_wrong_word_is_a_usage_error(run: Run) -> None:
    assert run("run", "dishwasher")[0] == 2
    assert run("dance")[0] == 2


def test_every_fault_of_the_configuration_is_one_line_before_anything_starts(run: Run) -> None:
    code, _, errors = run(
        "run", TELEGRAM_BOT_TOKEN="nonsense", STRIPE_API_KEY="sk_test_x", ADMINS="me", CCXT_TIMEFRAMES="1 hour"
    )
    assert code == 78
    lines = errors.strip().splitlines()
    assert all(line.startswith("Configuration: ") for line in lines)
    for name in ("TELEGRAM_BOT_TOKEN", "STRIPE_WEBHOOK_SECRET", "ADMINS", "CCXT_TIMEFRAMES"):
        assert sum(name in line for line in lines) == 1


def test_a_number_that_is_none_is_said_in_words(run: Run) -> None:
    code, _, errors = run("members", PORT="eighty")
    assert code == 78
    assert errors.startswith("Configuration: PORT: ")


def test_a_database_that_is_away_is_one_line(run: Run) -> None:
    url = "postgresql://nobody:canary-password@127.0.0.1:9/none"
    code, _, errors = run("members", DATABASE_URL=url, SECRET_KEY="a-secret-for-this-test")
    assert code == 1
    assert len(errors.strip().splitlines()) == 1
    assert "database" in errors
    assert "canary-password" not in errors


def test_a_shared_database_is_migrated_by_its_operator(run: Run, empty_postgres_url: str) -> None:
    env = {"DATABASE_URL": empty_postgres_url, "SECRET_KEY": "a-secret-for-this-test"}
    code, _, errors = run("run", **env)
    assert code == 1
    assert "signalstack migrate" in errors
    assert run("migrate", **env)[:2] == (0, "The database is up to date.\n")
    assert run("members", **env)[:2] == (0, "Nobody has written to the bot yet.\n")


def test_an_exchange_that_is_away_is_one_line(run: Run) -> None:
    code, output, errors = run("scan", EXCHANGE_API_URL="http://127.0.0.1:9", LOG_LEVEL="error")
    assert code == 1
    assert "binance is not available" in output
    assert errors == ""


def test_an_exchange_that_nobody_knows_is_a_fault_of_the_configuration(run: Run) -> None:
    code, _, errors = run("scan", CCXT_EXCHANGE="binanse")
    assert code == 78
    assert "Did you mean binance" in errors


def test_a_refused_token_is_one_line(run: Run, sandbox: Sandbox) -> None:
    wrong = {**sandbox.environment, "TELEGRAM_BOT_TOKEN": "999999:this-is-not-the-token"}
    code, _, errors = run("run", "bot", **wrong, LOG_LEVEL="error")
    assert code == 78
    assert errors.startswith("Configuration: TELEGRAM_BOT_TOKEN is refused by Telegram")
    assert "this-is-not-the-token" not in errors


def test_check_says_line_by_line_what_works(run: Run, sandbox: Sandbox) -> None:
    run("migrate")
    code, output, _ = run("check", **sandbox.environment, LOG_LEVEL="error")
    assert code == 0, output
    assert [line.split(":")[0].split()[-1] for line in output.splitlines()] == [
        *("configuration", "database", "redis", "market", "chat", "payments")
    ]
    assert "BTC/USDT (tick 0.01)" in output


def test_check_says_what_is_missing(run: Run, sandbox: Sandbox) -> None:
    env = {**sandbox.environment, "STRIPE_PRICE_ID": "price_unknown", "EXCHANGE_API_URL": "http://127.0.0.1:9"}
    env.pop("TELEGRAM_BOT_TOKEN")
    code, output, _ = run("check", **env, REDIS_URL="redis://127.0.0.1:9/0", LOG_LEVEL="error")
    assert code == 1
    assert output.count("FAIL") == 4
    assert "set TELEGRAM_BOT_TOKEN" in output
    assert "price_unknown" in output
    off = {name: value for name, value in env.items() if not name.startswith("STRIPE")}
    assert "set STRIPE_API_KEY" in run("check", **off, LOG_LEVEL="error")[1]


NEWS, SECRET = -1_000_800, "canary-secret-of-a-source-0123456789"
CATALOGUE = f"""
watches = [{{ symbol = "BTC/USDT" }}]
record = {{ telegram = "{NEWS}" }}
intakes = [{{ key = "tv" }}]
plans = [{{ key = "signals", name = "Signals", price_id = "PRICE" }}]
"""


def test_check_looks_at_the_channels_of_the_record_and_at_every_source(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    book, other = tmp_path / "signalstack.toml", tmp_path / "other.toml"
    said = CATALOGUE.replace("PRICE", sandbox.environment["STRIPE_PRICE_ID"])
    book.write_text(said, encoding="utf-8")
    other.write_text(said.replace("telegram", "discord"), encoding="utf-8")
    env = {**sandbox.environment, "SIGNALSTACK_CONFIG": str(book), "INTAKE_SECRETS": f"tv={SECRET}"}
    run("migrate")
    said = run("check", **env, LOG_LEVEL="error")[1]
    assert f"  FAIL record on telegram: Telegram shows us no chat {NEWS}" in said
    assert "  ok   intake tv: its secret is there; alerts go to http://localhost:8080/intake/tv" in said
    sandbox.world.telegram.group(NEWS, "News", "channel")
    code, said, _ = run("check", **env, LOG_LEVEL="error")
    assert f"  ok   record on telegram: the bot may post in {NEWS}" in said
    assert (code, "FAIL" in said) == (0, False), said
    code, said, _ = run("check", **env | {"SIGNALSTACK_CONFIG": str(other)}, LOG_LEVEL="error")
    assert (code, "  FAIL record on discord: discord is not switched on; set DISCORD_BOT_TOKEN" in said) == (1, True)
    assert SECRET not in said


async def test_a_source_without_its_secret_is_a_fault(
    sqlite_database: db.Database, make_stack: StackMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    book = catalogue.Catalogue(intakes=(catalogue.Intake(key="tv"),))
    held = await make_stack(sqlite_database, book=book, intake_secrets="tv=too-short")

    async def paid(_: stack.Stack) -> str:
        return "paid"

    assert await operator.check(held, paid) == 1
    assert "  FAIL intake tv: its secret is missing; add tv=SECRET with at least 24" in capsys.readouterr().out


def test_scan_prints_what_was_decided(run: Run, sandbox: Sandbox) -> None:
    code, output, _ = run("scan", **sandbox.environment, LOG_LEVEL="error")
    assert code == 0
    assert "mean_reversion binance BTC/USDT 1h: no entry" in output
    assert run("scan", **sandbox.environment, LOG_LEVEL="error")[1] == "Nothing closed since the last scan.\n"


def test_access_is_given_and_taken_back_by_hand(run: Run, sandbox: Sandbox) -> None:
    del sandbox
    code, _, errors = run("grant", "telegram:5")
    assert (code, "Nobody is known" in errors) == (1, True)
    asyncio.run(_meet(run))
    assert run("members")[1] == "No members with access yet.\n"
    code, output, _ = run("grant", "@maya", "--days", "7")
    assert code == 0
    assert "Maya @maya (telegram:5) has Signals until" in output
    row = json.loads(run("members", "--json")[1])
    assert (row["name"], row["plans"][0]["source"]) == ("Maya", "operator")
    assert "Signals until" in run("members")[1]
    assert run("revoke", "telegram:5")[0] == 0
    assert run("revoke", "telegram:5")[0] == 1
    assert "no access" in run("members", "--all")[1]
    assert run("grant", "telegram:5", "gold")[0] == 1


async def _meet(run: Run) -> None:
    from core import clock, members

    del run
    database = db.Database(f"sqlite:///{Path.cwd() / 'a.db'}")
    async with database.transaction() as session:
        await members.arrive(session, "telegram", "5", address="5", name="Maya", username="maya", now=clock.utcnow())
    await database.close()


def test_stripe_setup_may_be_repeated(run: Run, sandbox: Sandbox) -> None:
    env = {
        name: value
        for name, value in sandbox.environment.items()
        if name not in {"STRIPE_WEBHOOK_SECRET", "STRIPE_PRICE_ID"}
    }
    env["PUBLIC_URL"] = "https://signals.example"
    first = run("stripe", "setup", "--amount", "2900", "--currency", "eur", **env, LOG_LEVEL="error")
    assert first[0] == 0, first
    assert "whsec_" in first[1]
    again = run("stripe", "setup", "--amount", "2900", "--currency", "eur", **env, LOG_LEVEL="error")
    assert again[0] == 0
    assert "whsec_" not in again[1]
    assert telegram.TOKEN not in first[1]
