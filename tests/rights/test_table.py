"""The table is whole, and who judges by it sees what must not be there."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from bot import commands
from tests.rights import cast, judge, market, table, verdict

TOKEN = "WzcsImFsbCJd.aSdF.x-y_z"  # signed [7, "all"]
KNOWN = judge.Known(market.FIGURES, {"Canaryann": frozenset({"canaryann", "5100000007"})}, {"Canaryann": 7})


def shown(text: str, **body: Any) -> judge.Shown:
    row = {"event": "telegram_message", "chat_id": 5, "text": text, "has_photo": body.pop("photo", False)}
    return judge.Shown(row, {"text": text, **body})


def link(url: str) -> dict[str, Any]:
    return {"reply_markup": {"inline_keyboard": [[{"text": "Open", "url": url}]]}}


def test_x05_every_command_has_its_row_in_the_table_of_rights() -> None:
    rows = {command.name: command.operator for command in commands.COMMANDS}
    without = sorted(rows.keys() - table.RIGHTS.keys())
    assert not without, f"write down in tests/rights/table.py who may have the answers of: {', '.join(without)}"
    assert {name: right.operator for name, right in table.RIGHTS.items()} == rows


def test_x05_x06_the_matrix_is_commands_by_actors_by_contexts() -> None:
    made = list(table.combinations())
    assert len(made) == len(set(made)) == len(commands.COMMANDS) * 12 * len(table.PLACES)
    assert {place.context for place in table.PLACES} == set(table.CONTEXTS)
    assert len(table.CONTEXTS) == 6
    asked = {
        (command, actor, place.context) for command, actor, name in made for place in table.PLACES if place.name == name
    }
    assert len(asked) == len(commands.COMMANDS) * 12 * 6
    print(f"{len(made)} combinations: {len(commands.COMMANDS)} commands, 12 actors, {len(table.PLACES)} places")


def test_what_is_impossible_is_said_with_its_reason() -> None:
    barred = [
        (command, actor, place)
        for place in table.PLACES
        for command in table.RIGHTS
        for actor in table.ACTORS
        if table.why_not(place, actor, command)
    ]
    assert all(bar.why and bar.actors <= table.EVERYBODY for bar in table.BARS)
    assert 0 < len(barred) < len(list(table.combinations()))
    for place in table.PLACES:  # somebody really asks everywhere
        assert any(not table.why_not(place, actor, command) for command in table.RIGHTS for actor in table.ACTORS)


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (table.PAID, shown("▲ Long BTC/USDT · 1h · #3")),
        (table.PAID, shown("Entry 31\u202f337.25")),
        (table.PAID, shown("a\u2060t 32,888.75 or so")),
        (table.PAID, shown("nothing", stop="30444.50")),
        (table.PAID, shown("a chart", photo=True)),
        (table.CHECKOUT, shown("here", **link(f"https://site.example/checkout/{TOKEN}"))),
        (table.PORTAL, shown(f"https://site.example/portal/{TOKEN}")),
        (table.WAY_IN, shown("here", **link("https://t.me/+sandbox1"))),
        (table.CODE, shown("send /link abcdefghijklmnopqrst-_ there")),
        (table.KEY, shown("sst_abcdefghij_" + "A1_-" * 10 + "xyz")),
    ],
)
def test_x06_a_secret_is_seen_wherever_it_stands(secret: str, message: judge.Shown) -> None:
    assert judge.secrets(message, KNOWN) == {secret}
    assert judge.public_bytes(message) > 0


def test_x06_a_pointer_home_is_no_secret_and_anything_else_in_public_is() -> None:
    pointer = shown(judge.CALLED, **link("https://t.me/our_bot?start=latest"))
    assert judge.secrets(pointer, KNOWN) == set()
    assert [judge.public_bytes(one) for one in (pointer, shown(judge.SENT))] == [0, 0]
    assert judge.public_bytes(shown(judge.CALLED, **link("https://site.example/portal/x"))) > 0
    assert judge.public_bytes(shown("Welcome")) == 7


def test_x06_whoever_is_named_in_an_answer_is_seen() -> None:
    named = [shown("Canaryann"), shown("@CANARYANN"), shown("who is 5100000007"), shown(f"/checkout/{TOKEN}")]
    assert [judge.strangers_named(one, KNOWN, []) for one in named] == [["Canaryann"]] * 3 + [["member 7"]]
    assert [judge.strangers_named(one, KNOWN, ["Canaryann"]) for one in named] == [[]] * 4


def test_no_two_people_share_a_sign() -> None:
    played = cast.Cast("telegram")
    for kind in table.ACTORS * 9:
        played.play(kind)
    signs = sorted(sign for one in played.everybody if one.kind != table.OPERATOR for sign in one.signs)
    assert not [sign for sign, after in itertools.pairwise(signs) if sign in after]


def test_who_may_not_is_refused_in_other_words_than_who_may() -> None:
    for command, right in table.RIGHTS.items():
        for line in (*right.more, right.line):
            assert line.may <= table.EVERYBODY
            assert line.may == table.EVERYBODY or line.no, command
            assert right.operator == (line.may == {table.OPERATOR} and line.no == table.NOT_KNOWN)
    assert verdict.expected(table.GROUP, table.PAYING, "latest") == (True, judge.SENT)
    assert verdict.expected(replace(table.GROUP, answers=table.SILENT), table.PAYING, "latest") == (False, "")
