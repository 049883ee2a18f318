"""Whatever anybody is called or writes, Telegram parses our text, and finds no link in it that we did not put there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import commands, messages
from bot.messages import text
from bot.platforms.telegram import rendering
from core import catalogue
from core.models import SignalStatus
from tests.bot import signals
from tests.sandbox import telegram_text

NASTY = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "<b>",
                "</b>",
                "&lt;",
                "&",
                '"',
                "@admin",
                "t.me/x",
                "https://evil.io/a",
                "#moon",
                "$BTC",
                "/grant",
                " ",
                "a",
            ]
        ),
        max_size=8,
    ).map("".join),
)
OURS = "https://signals.example/record"
LINKS = {"url", "email", "mention", "hashtag", "cashtag", "text_link", "bot_command"}


def parsed(message: messages.Message) -> tuple[str, list[dict[str, Any]]]:
    return telegram_text.formatted(rendering.html(message), "HTML", None)


@given(NASTY, NASTY, NASTY, st.sampled_from(["", "b", "i", "code"]))
@settings(max_examples=150, deadline=None)
def test_t17_any_text_in_any_style_is_parsed_and_holds_no_link(one: str, two: str, three: str, style: str) -> None:
    message = text.message(text.line(messages.Span(one, style), messages.Span(two)), text.line(three))

    words, entities = parsed(message)

    assert words == message.plain.strip()
    assert not LINKS & {str(entity["type"]) for entity in entities}


@given(NASTY, NASTY, NASTY, NASTY)
@settings(max_examples=60, deadline=None)
def test_t17_every_field_of_every_message_survives_the_parser(symbol: str, reason: str, plan: str, note: str) -> None:
    service = catalogue.Service(notice=note[:60])
    facts = {"plan": plan, "until": None, "signals": [], "key": note, "text": reason}
    facts |= {
        "hook": 3,
        "host": note,
        "said": reason,
        "day": "2026-02-15",
        "entries": 1,
        "head": "ab" * 32,
        "url": OURS,
    }
    watch = {"watch": symbol, "same": 1, "late": 0, "different": 0, "differences": []}
    facts |= {"watches": [watch], "since": "2026-01-05T00:00:00+00:00", "until": "2026-01-12T00:00:00+00:00"}
    facts |= {"expires": "2026-03", "at": facts["until"], "card": note, "amount": reason, "price": reason}
    facts |= {"seats": 2, "gift": 3, "by": note, "who": note, "period": reason, "why": reason}
    ended = signals.ended(SignalStatus.TARGET, "27900", symbol=symbol)
    said = [
        messages.signals.opening(signals.make(symbol=symbol, reason=reason), service),
        messages.signals.closing(ended, service),
        *(notice(facts, service) for notice in messages.notices.NOTICES.values()),
    ]

    for message in said:
        words, entities = parsed(message)
        assert words == message.plain.strip()
        found = {str(entity["type"]) for entity in entities if cut(words, entity) != OURS} & LINKS
        assert found <= {"bot_command"}  # ours: a name like /grant is dead
        offered = [cut(words, entity) for entity in entities if entity["type"] == "bot_command"]
        assert {word.removeprefix("/") for word in offered} <= commands.BY_NAME.keys()


def cut(words: str, entity: dict[str, Any]) -> str:
    """The words that the entity covers; its borders are UTF-16 units."""
    units = words.encode("utf-16-le")
    return units[2 * entity["offset"] : 2 * (entity["offset"] + entity["length"])].decode("utf-16-le")


def test_t17_the_operators_own_words_live() -> None:
    service = catalogue.Service(support="@help_desk or https://site.example", terms="See https://site.example/terms")

    _, entities = parsed(messages.answers.paysupport(service))
    _, more = parsed(messages.answers.terms(service))

    assert {"mention", "url"} <= {str(entity["type"]) for entity in entities}
    assert "url" in {str(entity["type"]) for entity in more}


def test_commands_in_our_sentences_can_be_tapped() -> None:
    _, entities = parsed(messages.answers.hint())

    assert [entity["type"] for entity in entities] == ["bot_command"]


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_t17_a_link_survives_any_address(address: str) -> None:
    message = text.message(text.line(messages.Span("x", url=f"https://a.example/{address}")))

    assert parsed(message)[0] == "x"


@pytest.mark.parametrize("data", ["x" * 65, "é" * 33])
def test_t16_button_data_over_64_bytes_is_left_out(data: str) -> None:
    message = text.message("x", buttons=[[text.Button("A", data=data)], [text.Button("B", data="é" * 32)]])

    assert rendering.keyboard(message, "bot") == {"inline_keyboard": [[{"text": "B", "callback_data": "é" * 32}]]}
    assert rendering.keyboard(text.message("x", buttons=[[text.Button("A", data=data)]]), "bot") is None


@given(st.text(max_size=80))
@settings(deadline=None)
def test_t16_deep_links_always_have_a_payload_that_telegram_takes(payload: str) -> None:
    message = text.message("x", buttons=[[text.Button("Open", start=payload or "x")]])

    markup = rendering.keyboard(message, "our_bot")

    assert markup is not None
    (link,) = [button["url"] for row in markup["inline_keyboard"] for button in row]
    said = link.removeprefix("https://t.me/our_bot?start=")
    assert 1 <= len(said) <= 64
    assert said.isascii()


def test_x04_no_button_of_a_command_holds_more_than_a_handle() -> None:
    for row in commands.COMMANDS:
        assert len(f"/{row.name}".encode()) <= 64
