"""Settings: everything that is wrong is said in one readable line each, and nothing is ever a traceback."""

import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import catalogue, errors, keyfile, log, settings

KEY = "0123456789abcdef0123456789abcdef"
STRIPE = {"STRIPE_API_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1", "STRIPE_PRICE_ID": "price_1"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without .env and signalstack.toml, and nothing of these tests in the log's memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(log, "_known", set())


def load(env: dict[str, str], **options: Any) -> tuple[settings.Settings, catalogue.Catalogue]:
    """What an environment of these variables means."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return settings.load(options.pop("env_file", None), **options)


def faults(env: dict[str, str], **options: Any) -> list[str]:
    with pytest.raises(errors.ConfigError) as caught:
        load(env, **options)
    return list(caught.value.faults)


def test_without_any_setting_a_small_community_can_start() -> None:
    conf, book = load({})
    assert conf.database_url == "sqlite+aiosqlite:///signalstack.db"
    assert (conf.telegram, conf.stripe, conf.webhook_secrets, conf.admin_ids) == (False, False, (), frozenset())
    assert [watch.key for watch in book.watches] == [
        "mean_reversion binance BTC/USDT 1h",
        "mean_reversion binance ETH/USDT 1h",
    ]
    assert [(plan.key, plan.symbols) for plan in book.plans] == [("signals", frozenset())]


def test_empty_strings_mean_unset() -> None:
    empty = load({name.upper(): "" for name in settings.Settings.model_fields})
    assert empty[1] == load({})[1]
    assert {**dict(empty[0]), "secret_key": ""} == {**dict(load({})[0]), "secret_key": ""}


def test_the_env_file_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9000\nHOST='0.0.0.0'\n# PORT=1\nUNKNOWN=x\n")
    conf, _ = load({"PORT": "9001"}, env_file=tmp_path / ".env")
    assert (conf.port, conf.host) == (9001, "0.0.0.0")


def test_every_fault_is_said_in_one_line_and_all_together(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[service]\nnmae = "x"\n')
    found = faults(
        {
            "PORT": "web",
            "GRACE_DAYS": "61",
            "LOG_LEVEL": "loud",
            "PUBLIC_URL": "signals.example",
            "STRIPE_API_URL": "http://[",
            "DATABASE_URL": "mysql://root@localhost/x",
            "ADMINS": "telegram:me, 77",
            "TELEGRAM_BOT_TOKEN": "not-a-token",
            "STRIPE_API_KEY": "sk_test_1",
            "SIGNALSTACK_CONFIG": "bad.toml",
        }
    )
    words = [
        *("PORT:", "GRACE_DAYS:", "LOG_LEVEL:", "PUBLIC_URL: write a web address", "STRIPE_API_URL:"),
        *("DATABASE_URL names mysql", "bad.toml: service.nmae", "ADMINS: write telegram:ID", "TELEGRAM_BOT_TOKEN"),
        *("STRIPE_WEBHOOK_SECRET is missing", "STRIPE_PRICE_ID is missing"),
    ]
    for word in words:
        assert len([line for line in found if word in line]) == 1, (word, found)
    assert len(found) == len(words)
    assert not any("\n" in line or "Value error" in line for line in found)
    assert "(it is 'web')" in next(line for line in found if line.startswith("PORT"))


def test_x01_a_fault_never_shows_a_secret() -> None:
    said = " ".join(
        faults(
            {
                "TELEGRAM_BOT_TOKEN": "123:canary",
                "SECRET_KEY": "canary",
                "STRIPE_API_KEY": "sk_live_canary",
                "DATABASE_URL": "postgresql://user:canary@host:port/x",
                "REDIS_URL": "canary",
            }
        )
    )
    assert "canary" not in said


@pytest.mark.parametrize("blank", ["", "  ", ",", " , "])
def test_s01_stripe_without_a_webhook_secret_does_not_start(blank: str) -> None:
    found = faults({**STRIPE, "STRIPE_WEBHOOK_SECRET": blank})
    assert found == ["STRIPE_WEBHOOK_SECRET is missing: without it nobody could tell Stripe's events from forged ones."]


def test_what_the_setup_of_stripe_creates_may_be_missing_before() -> None:
    conf, _ = load({"STRIPE_API_KEY": "sk_test_1"}, billing=False)
    assert conf.stripe


def test_several_webhook_secrets_are_valid_at_once() -> None:
    conf, book = load({**STRIPE, "STRIPE_WEBHOOK_SECRET": " whsec_new ,whsec_old,, "})
    assert conf.webhook_secrets == ("whsec_new", "whsec_old")
    assert set(book.by_price) == {"price_1"}


def test_operators_are_named_by_platform_and_number() -> None:
    conf, _ = load({"ADMINS": "telegram:12, Discord:34 ,,"})
    assert conf.admin_ids == {("telegram", "12"), ("discord", "34")}
    for odd in ("telegram", "12", "telegram:", "telegram:-5", "irc:5", "telegram:@me", "telegram:1:2"):
        assert len(faults({"ADMINS": odd})) == 1


@pytest.mark.parametrize(
    ("given_url", "driver"),
    [
        ("postgres://user:pw@host/name", "postgresql+asyncpg"),
        ("postgresql://user:pw@host:5432/name", "postgresql+asyncpg"),
        ("postgresql+psycopg2://user:pw@host/name", "postgresql+asyncpg"),
        ("sqlite:///file.db", "sqlite+aiosqlite"),
    ],
)
def test_old_database_urls_still_work(given_url: str, driver: str) -> None:
    conf, _ = load({"DATABASE_URL": given_url, "SECRET_KEY": KEY})
    assert settings.db.normalised(conf.database_url).drivername == driver  # type: ignore[attr-defined]


def test_the_word_for_tls_of_hosted_databases_is_understood() -> None:
    url = settings.db.normalised("postgres://u:p@h/d?sslmode=require")  # type: ignore[attr-defined]
    assert dict(url.query) == {"ssl": "require"}


@pytest.mark.parametrize(
    "odd", ["file.db", "postgresql://h:port/x", "postgresql://[::1/x", "mysql://x/y", "://", "sqlite"]
)
def test_what_is_no_database_address_is_said_once(odd: str) -> None:
    (line,) = faults({"DATABASE_URL": odd})
    assert line.startswith("DATABASE_URL")


def test_the_secret_key_is_made_once_beside_sqlite_for_us_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep.db"
    first, second = load({"DATABASE_URL": url})[0], load({"DATABASE_URL": url})[0]
    path = tmp_path / "deep.key"
    assert len(first.secret_key.get_secret_value()) >= 32
    assert first.secret_key == second.secret_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["deep.key"]
    assert load({"DATABASE_URL": url, "SECRET_KEY": KEY})[0].secret_key.get_secret_value() == KEY


def test_processes_that_start_together_have_one_secret_key(tmp_path: Path) -> None:
    path, keys = tmp_path / "x.db", []
    threads = [threading.Thread(target=lambda: keys.append(keyfile.kept(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    keyfile.write(tmp_path / "x.key")  # another process was first
    assert {keyfile.kept(path)} == set(keys)


def test_half_a_key_is_no_key(tmp_path: Path) -> None:
    for damage in (b"", b"short", b"\xff\xfe" * 20):
        (tmp_path / "x.key").write_bytes(damage)
        (line,) = faults({"DATABASE_URL": f"sqlite:///{tmp_path}/x.db"})
        assert "key file" in line


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.key").mkdir()
    for place in (f"{tmp_path}/none/x.db", f"{tmp_path}/x.db", "/", "."):
        (line,) = faults({"DATABASE_URL": f"sqlite:///{place}"})
        assert line.startswith("The key file beside the database cannot be used")


def test_a_database_in_memory_has_a_secret_key_for_its_life() -> None:
    conf, _ = load({"DATABASE_URL": "sqlite://"})
    assert len(conf.secret_key.get_secret_value()) >= 32


def test_postgresql_wants_a_secret_key_that_every_process_shares() -> None:
    assert faults({"DATABASE_URL": "postgresql://h/x"}) == [
        "SECRET_KEY is missing: every process needs the same one to sign links."
    ]
    assert faults({"SECRET_KEY": "short"}) == ["SECRET_KEY is too short; use at least 16 random characters."]


def test_markets_are_the_product_of_pairs_and_timeframes() -> None:
    _, book = load({"CCXT_EXCHANGE": "kraken", "CCXT_TRADING_PAIRS": "btc/usd, ETH/USD,", "CCXT_TIMEFRAMES": "1h,4h"})
    assert [(watch.exchange, watch.symbol, watch.timeframe) for watch in book.watches] == [
        *(("kraken", "BTC/USD", frame) for frame in ("1h", "4h")),
        *(("kraken", "ETH/USD", frame) for frame in ("1h", "4h")),
    ]


@pytest.mark.parametrize(
    ("env", "fault"),
    [
        ({"CCXT_TRADING_PAIRS": "BTCUSDT"}, "CCXT_TRADING_PAIRS: write pairs such as BTC/USDT"),
        ({"CCXT_TIMEFRAMES": "hourly"}, "CCXT_TIMEFRAMES: write timeframes such as 5m"),
        ({"CCXT_EXCHANGE": "Binance!"}, "CCXT_EXCHANGE: write the exchange's id"),
        ({"CCXT_TRADING_PAIRS": " , "}, "must name at least one pair"),
        ({"CCXT_TRADING_PAIRS": "BTC/USDT,BTC/USDT"}, "twice; keep one"),
        ({"SIGNALSTACK_CONFIG": "none.toml"}, "The catalogue none.toml cannot be read"),
    ],
)
def test_a_fault_in_the_markets_is_said(env: dict[str, str], fault: str) -> None:
    (line,) = faults(env)
    assert fault in line


def test_the_file_of_the_catalogue_goes_before_the_simple_settings(tmp_path: Path) -> None:
    text = '[[watches]]\nsymbol = "SOL/USDT"\n[[plans]]\nkey = "sol"\nname = "Sol"\nprice_id = "price_2"\n'
    (tmp_path / "signalstack.toml").write_text(text)
    _, book = load(STRIPE)
    assert [watch.symbol for watch in book.watches] == ["SOL/USDT"]
    assert set(book.by_price) == {"price_2"}
    (tmp_path / "mine.toml").write_text('[service]\nname = "Mine"\n')
    _, mine = load({**STRIPE, "SIGNALSTACK_CONFIG": "mine.toml"})
    assert (mine.service.name, len(mine.watches), set(mine.by_price)) == ("Mine", 2, {"price_1"})


def test_x01_every_secret_is_kept_out_of_the_logs() -> None:
    load(
        {
            **STRIPE,
            "SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": "first-of-two, second-of-two",
            "DATABASE_URL": "postgresql://user:pass%20phrase@host/x",
            "TELEGRAM_BOT_TOKEN": "1:odd-but-a-token",
        }
    )
    for secret in (KEY, "first-of-two", "second-of-two", "pass phrase", "1:odd-but-a-token"):
        assert secret not in log.redacted(f"it is <{secret}>!")


def test_settings_show_no_secret_and_cannot_be_changed() -> None:
    conf, _ = load({**STRIPE, "SECRET_KEY": KEY})
    assert KEY not in repr(conf) + str(conf) + repr(conf.model_dump())
    with pytest.raises(ValueError, match="frozen"):
        setattr(conf, "port", 1)  # noqa: B010 - mypy knows already that it cannot be set


def test_an_env_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HOST=\xff\xfe\n")
    (line,) = faults({}, env_file=tmp_path / ".env")
    assert "is no readable text" in line


STRINGS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.from_regex(r"\A(sqlite|postgres|http|redis)[:/a-z0-9@\[\].?=%-]{0,20}\Z"),
    st.sampled_from(["\udcff", "0", "-1", "1e999", "nan", "null", "{}", "../..", "/", "~", ":", "a" * 5000, "true"]),
)


@pytest.mark.parametrize("name", sorted(settings.Settings.model_fields))
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=STRINGS)
def test_whatever_a_variable_holds_there_are_settings_or_sentences(name: str, value: str) -> None:
    try:
        conf, _ = load({"SECRET_KEY": KEY, name.upper(): value})
    except errors.ConfigError as error:
        lines = error.faults
    else:
        lines = (conf.public_url,)
    assert all(lines)
    assert not any("\n" in line for line in lines)


CATALOGUE = """
[[plans]]
key = "signals"
name = "Signals"
stars = {stars}
"""


def test_a_price_in_stars_needs_the_telegram_bot(tmp_path: Path) -> None:
    (tmp_path / "signalstack.toml").write_text(CATALOGUE.format(stars=500))
    [fault] = faults({})
    assert fault.startswith("TELEGRAM_BOT_TOKEN is missing: a plan has a price in Telegram Stars")
    conf, book = load({"TELEGRAM_BOT_TOKEN": "123456789:AAcanary_canary"})
    assert (conf.stars, conf.selling(book), book.by_price["stars:signals:500"].key) == (True, True, "signals")
    stripe = {**STRIPE, "STRIPE_PRICE_ID": "", "TELEGRAM_BOT_TOKEN": "123456789:AAcanary_canary"}
    assert faults(stripe) == [
        "STRIPE_PRICE_ID is missing: name one price, or give plans a price_id in signalstack.toml."
    ]


def test_a_plan_that_is_sold_for_stars_no_longer_has_no_price_in_them(tmp_path: Path) -> None:
    (tmp_path / "signalstack.toml").write_text(CATALOGUE.format(stars=0))
    conf, book = load({"TELEGRAM_BOT_TOKEN": "123456789:AAcanary_canary"})
    assert (conf.selling(book), book.by_price, book.plans[0].stars_id) == (False, {}, "")


@pytest.mark.parametrize("stars", ["-1", "10001", '"many"', "500\nseats = {least = 2}"])
def test_a_price_that_telegram_would_not_take_is_refused(tmp_path: Path, stars: str) -> None:
    (tmp_path / "signalstack.toml").write_text(CATALOGUE.format(stars=stars))
    assert len(faults({"TELEGRAM_BOT_TOKEN": "123456789:AAcanary_canary"})) == 1
