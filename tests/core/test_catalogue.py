"""signalstack.toml: what it can say, and how its faults are told."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core import catalogue, errors

WHOLE = """
[service]
name = "Köder & Co"
risk = "Trading can lose money."
[policy]
paused_collection_keeps_access = true
[[watches]]
exchange = "kraken"
symbol = "BTC/USD"
timeframe = "4h"
params = { window = 20 }
[[watches]]
symbol = "ETH/USDT:USDT"
[[plans]]
key = "all"
name = "Everything"
price_id = "price_1"
[[plans]]
key = "ether"
name = "Ether only"
symbols = ["ETH/USDT:USDT"]
"""


def read(folder: Path, text: str | bytes) -> catalogue.Catalogue:
    path = folder / "signalstack.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return catalogue.read(path)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    book = read(tmp_path, WHOLE)
    bitcoin, ether = book.watches
    assert (book.service.name, book.policy.paused_collection_keeps_access) == ("Köder & Co", True)
    assert bitcoin.key == "mean_reversion kraken BTC/USD 4h"
    assert (ether.exchange, ether.timeframe, bitcoin.params) == ("binance", "1h", {"window": 20})
    assert set(book.by_key) == {"all", "ether"}
    assert set(book.by_price) == {"price_1"}
    assert [book.by_key["all"].covers([watch.symbol]) for watch in book.watches] == [True, True]
    assert [book.by_key["ether"].covers([watch.symbol]) for watch in book.watches] == [False, True]
    assert book.faults() == []


def test_x11_without_a_file_the_risk_is_told_and_cannot_be_silenced(tmp_path: Path) -> None:
    assert "lose money" in catalogue.Catalogue().service.risk
    assert "not advice" in catalogue.Catalogue().service.terms
    with pytest.raises(errors.ConfigError, match=r"service\.risk"):
        read(tmp_path, '[service]\nrisk = ""')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[service]\nnmae = "x"', "signalstack.toml: service.nmae: Extra inputs are not permitted."),
        ('[[watches]]\nsymbol = "btc"', "signalstack.toml: watches.0.symbol: String should match pattern"),
        (
            '[[watches]]\nsymbol = "BTC/USDT"\ntimeframe = "hourly"',
            "signalstack.toml: watches.0.timeframe: write a timeframe such as 5m, 1h, 4h or 1d.",
        ),
        ('[[watches]]\ntimeframe = "1h"', "signalstack.toml: watches.0.symbol: Field required."),
        ('[[plans]]\nkey = "A B"\nname = "x"', "signalstack.toml: plans.0.key: String should match pattern"),
        ("watches = 7", "signalstack.toml: watches: Input should be a valid tuple."),
        ("[service", "is not valid TOML"),
        (b'[service]\nname = "\xff\xfe"', "is not valid TOML"),
        ("a = 1\na = 2", "is not valid TOML"),
    ],
)
def test_a_fault_is_one_readable_line(tmp_path: Path, text: str | bytes, fault: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        read(tmp_path, text)
    (line,) = caught.value.faults
    assert fault in line
    assert "\n" not in line
    assert "Value error" not in line


def test_all_faults_of_a_file_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        read(tmp_path, '[service]\nnmae = "x"\n[[watches]]\nsymbol = "btc"\n[[plans]]\nname = ""\nkey = "a"')
    assert len(caught.value.faults) == 3


def test_what_is_named_twice_is_said(tmp_path: Path) -> None:
    twice = WHOLE + WHOLE[WHOLE.index("[[watches]]") :]
    assert read(tmp_path, twice).faults() == [
        "The catalogue names the watch 'mean_reversion binance ETH/USDT:USDT 1h' twice; keep one.",
        "The catalogue names the watch 'mean_reversion kraken BTC/USD 4h' twice; keep one.",
        "The catalogue names the plan 'all' twice; keep one.",
        "The catalogue names the plan 'ether' twice; keep one.",
        "The catalogue names the price_id 'price_1' twice; keep one.",
    ]


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(errors.ConfigError, match="cannot be read"):
            catalogue.read(path)
    with pytest.raises(errors.ConfigError):
        catalogue.read(Path("a\0b"))


@given(text=st.one_of(st.text(), st.binary(), st.from_regex(r"\[\[?(watches|plans|service)\]\]?\n\w{1,9} = .{0,20}")))
def test_whatever_the_file_holds_there_is_a_catalogue_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    faults: tuple[str, ...] = ("none",)
    try:
        read(tmp_path_factory.getbasetemp(), raw)
    except errors.ConfigError as error:
        faults = error.faults
    assert all(faults)


def place(key: str, **values: Any) -> catalogue.Place:
    return catalogue.Place(**{"key": key, "name": key, "platform": "discord", "server": "1", **values})


def test_a_plan_must_have_what_its_places_carry() -> None:
    narrow = catalogue.Plan(key="btc", name="B", symbols=frozenset({"BTC/USDT"}), places=frozenset({"all"}))
    book = catalogue.Catalogue(plans=(narrow,), places=(place("all"),))
    [fault] = book.faults()
    assert fault.startswith("The plan 'btc' opens the place 'all', where markets are posted that the plan does")
    fitting = place("all", symbols=frozenset({"BTC/USDT"}))
    assert book.model_copy(update={"places": (fitting,)}).faults() == []


def test_a_role_cannot_be_given_and_taken_at_once() -> None:
    plan = catalogue.Plan(key="p", name="P", places=frozenset({"a"}))
    both = (place("a", role="5", channel="6"), place("b", role="5", channel="7"))
    [fault] = catalogue.Catalogue(plans=(plan,), places=both).faults()
    assert fault.startswith("The places 'a' and 'b' share the role 5, but the plan 'p' opens only one of them")
    assert catalogue.Catalogue(plans=(catalogue.Plan(key="p", name="P"),), places=both).faults() == []


def test_one_chat_is_one_place() -> None:
    twice = tuple(place(key, platform="telegram", server="", chat="-5") for key in ("a", "b"))
    assert catalogue.Catalogue(places=twice).faults() == [
        "The catalogue names the chat of a place '-5' twice; keep one."
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"platform": "telegram", "server": ""}, "a Telegram place needs `chat`"),
        ({"platform": "telegram", "chat": "5"}, "a Telegram place needs `chat`"),
        ({"server": ""}, "a Discord place needs `server`"),
        ({"server": "12x"}, "should match pattern"),
    ],
)
def test_a_place_says_where_it_is(values: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        place("a", **values)


def test_numbers_may_be_written_as_numbers() -> None:
    assert place("a", server=900, role=901).role == "901"
