"""Messages as embeds: nothing that people or markets say becomes markup, and every limit of Discord's is kept."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import commands, messages
from bot.messages import text
from bot.messages.text import Button, Message, Span
from bot.platforms.discord import components, rendering

# What Discord reads as markup once escaped signs are taken out.
MARKUP = re.compile(r"[*_~`|<\[\]]|:\w+:|://|@(?=\w)")
STARTS = re.compile(r"^\s*(?:#|>|[-+]\s|\d+[.)]\s)", re.MULTILINE)
ESCAPED = re.compile(r"\\[^0-9A-Za-z\s]")

nasty = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="*_~`|<>[]()@#:-+.0123456789/\\ abchttps\n", max_size=60),
    st.sampled_from(
        [
            "@everyone", "<@7001>", "<@&1>", "<#9101>", "</plans:1>", "<t:0:R>", "<:x:1>", ":smile:", "||x||",
            "[click](https://evil.example)", "https://evil.example", "<https://evil.example>", "discord.gg/abc",
            "# big", "-# small", "> quote", "- item", "1. item", "2) item", "```code```", "\\", "\\*", "**b**",
            "\u202eevil", "\ud800", "a" * 5000, "*" * 5000, "😀" * 300,
        ]
    ),
)  # fmt: skip
spans = st.builds(Span, text=nasty, style=st.sampled_from(["", "", "b", "i", "code"]))
lines = st.lists(spans, max_size=4).map(tuple)
bodies = st.lists(lines, max_size=12).map(lambda rows: Message(tuple(rows)))


def stripped(markdown: str) -> str:
    return ESCAPED.sub("·", markdown)


def size(embed: dict[str, Any]) -> int:
    return sum(messages.units(words) for words in texts(embed))


def texts(embed: dict[str, Any]) -> list[str]:
    return [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]


@given(nasty)
def test_t17_no_text_makes_mentions_links_or_markdown(words: str) -> None:
    for embed in rendering.embeds(text.message("Head", words, words)):
        shown = stripped(embed.get("description", ""))
        assert not MARKUP.search(shown)
        assert not STARTS.search(shown)
    for embed in rendering.embeds(text.message(text.line(text.bold(words or "x")))):
        assert not MARKUP.search(stripped(embed.get("title", "")))
    assert not MARKUP.search(stripped(rendering.bare(text.message(words))).rstrip("\\"))


@given(bodies)
def test_t16_every_message_keeps_discords_limits(message: Message) -> None:
    made = rendering.embeds(message, picture=True)
    assert 1 <= len(made) <= 10
    assert sum(map(size, made)) <= rendering.TOTAL
    for embed in made:
        title, description, footer = texts(embed)
        assert messages.units(title) <= rendering.TITLE
        assert messages.units(description) <= rendering.DESCRIPTION
        assert messages.units(footer) <= rendering.FOOTER
    assert len(rendering.bare(message)) <= rendering.CONTENT


def test_what_is_very_long_is_said_as_far_as_it_fits() -> None:
    made = rendering.embeds(text.message(text.line(text.bold("Terms")), *(["Some words. " * 30] * 40)))
    assert len(made) == 2
    assert made[1]["description"].endswith("…")
    assert made[0]["title"] == "Terms"


def test_words_stay_the_same() -> None:
    message = text.message(
        text.line(text.bold("▼ Short ETH/USDT"), " · 1h"),
        text.line("Entry ", text.bold("1,234.50"), " (−1.2 %, ", text.italic("risky"), ")"),
        text.line(Span("key_1`x", "code"), " ", Span("our page", url="https://site.example/a_(b)")),
        text.BLANK,
        "- not a list",
        "1. neither",
        text.BLANK,
        text.line(text.italic("Not financial advice.")),
    )
    [embed] = rendering.embeds(message)
    assert embed == {
        "title": "▼ Short ETH/USDT · 1h",
        "description": "Entry **1,234.50** (−1.2 %, *risky*)\n"
        "`key_1ˋx` [our page](https://site.example/a_%28b%29)\n\n"
        "\\- not a list\n1\\. neither",
        "footer": {"text": "Not financial advice."},
        "color": 0xC8403A,
    }


def test_marks_that_touch_are_one() -> None:
    [embed] = rendering.embeds(text.message("x", text.line(text.bold("a"), text.bold(" (repeat) "), text.italic(" "))))
    assert embed["description"] == "x\n**a (repeat)**"


def test_commands_have_the_names_they_have_on_discord() -> None:
    [embed] = rendering.embeds(
        text.message(
            "Ask", text.line(text.command("/latest"), " and ", text.command("/plans"), " ", text.command("/x"))
        )
    )
    grouped = commands.BY_NAME["latest"].slash or "latest"
    assert embed["description"] == f"Ask\n/{grouped} and /plans /x"


def test_operators_may_give_links_and_nothing_else() -> None:
    words = "Ask at https://help.example/a_b?c=*d* or *here* [x](https://y.example) @team"
    [embed] = rendering.embeds(text.message("Hi", *text.paragraphs(words)))
    assert embed["description"] == (
        "Hi\nAsk at https://help.example/a_b?c=*d* or \\*here\\* \\[x\\](https://y.example) @team"
    )


def test_nobody_is_ever_mentioned() -> None:
    assert rendering.mentions() == {"parse": []}


@given(
    st.lists(
        st.lists(st.builds(Button, text=nasty, data=nasty, url=st.sampled_from(["", "https://x.example"])), max_size=8),
        max_size=12,
    )
)
def test_buttons_keep_discords_limits(rows: list[list[Button]]) -> None:
    made = components.of(text.message("x", buttons=rows), {})
    assert len(made) <= components.ROWS
    names = []
    for row in made:
        assert 1 <= len(row["components"]) <= components.ACROSS
        for part in row["components"]:
            names += [part["custom_id"]] if "custom_id" in part else []
            assert messages.units(part.get("label", "x")) <= components.LABEL
            assert part.get("label", "x").strip()
    assert len(names) == len(set(names))
    assert all(0 < len(name) <= components.NAME for name in names)


@pytest.mark.parametrize("number", [5, 6])
def test_more_than_five_alike_are_a_menu(number: int) -> None:
    buttons = [[text.Button(f"C{n}", data=f"/latest C{n}") for n in range(number)]]
    [row] = components.of(text.message("x", buttons=buttons), {})
    assert (row["components"][0]["type"] == 3) == (number == 6)


@pytest.mark.parametrize("line", ["-", "+ ", "-#", "- x", "1.", "12) x", "  - x", "# x", "> x", ">>> x"])
def test_no_line_becomes_a_list_a_heading_or_a_quotation(line: str) -> None:
    [embed] = rendering.embeds(text.message("Head", line, "tail"))
    assert not STARTS.search(stripped(embed["description"]))
