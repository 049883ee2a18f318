import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import messages
from bot.messages import text

SIGNS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["👩‍👩‍👧 ", "é" * 9, "שלום ", "🇩🇪", "👍🏽", "a" * 50, " ", "@admin", "t.me/x", "https://x.io/y"]),
)
SPANS = st.builds(messages.Span, text=SIGNS, style=st.sampled_from(["", "b", "i", "code"]), live=st.booleans())
LINES = st.lists(st.lists(SPANS, max_size=6).map(tuple), max_size=12).map(tuple)
BUTTONS = (((messages.Button("Help", data="/help")),),)


@given(LINES, st.integers(20, 200))
@settings(max_examples=100, deadline=None)
@example(((messages.Span("word " * 50),),), 40)
def test_t16_every_part_fits_and_no_word_is_lost(lines: tuple[text.Line, ...], limit: int) -> None:
    whole = messages.Message(lines, BUTTONS, picture=True)

    parts = messages.split(whole, limit)

    assert all(messages.units(part.plain) <= limit for part in parts)
    assert squeezed(" ".join(part.plain for part in parts)) == squeezed(whole.plain)
    assert [part.buttons for part in parts] == [()] * (len(parts) - 1) + [BUTTONS]
    assert [part.picture for part in parts] == [True] + [False] * (len(parts) - 1)


def squeezed(words: str) -> str:
    return "".join(words.replace("\u2060", "").split())


def test_t16_parts_break_between_lines() -> None:
    whole = text.message("a" * 30, "b" * 30, text.BLANK, "c" * 30)

    assert [part.plain for part in messages.split(whole, 61)] == ["a" * 30 + "\n" + "b" * 30, "c" * 30]


def test_t16_a_broken_line_keeps_its_style_on_both_sides() -> None:
    whole = text.message(text.line(text.bold("one two three four five six")))

    first, second = messages.split(whole, 16)

    assert first.lines == ((text.bold("one two three"),),)
    assert second.lines == ((text.bold("four five six"),),)


def test_t16_no_sign_is_cut_in_two() -> None:
    whole = text.message("👩‍👩‍👧" * 6)

    for part in messages.split(whole, 9):
        assert part.plain.count("👧") * 3 == part.plain.count("👩") * 1.5


def test_a_message_of_blank_lines_is_empty_but_whole() -> None:
    assert messages.split(text.message(" ", text.BLANK), 10) == [messages.Message(())]


@given(LINES)
@settings(max_examples=50, deadline=None)
def test_a_message_survives_being_stored(lines: tuple[text.Line, ...]) -> None:
    whole = messages.Message(lines, BUTTONS, picture=True)

    assert messages.Message.from_dict(whole.as_dict()) == whole


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("@someone", "@\u2060someone"),
        ("t.me/x", "t.\u2060me/x"),
        ("https://a.b", "https:\u2060//\u2060a.\u2060b"),
        ("/grant", "/\u2060grant"),
        ("#moon", "#\u2060moon"),
        ("$BTC", "$\u2060BTC"),
        ("1.1.1.1", "1.\u20601.\u20601.1"),
        ("BTC/USDT 27 412.10 #12", "BTC/USDT 27 412.10 #12"),
        ("a\nb\u202ec\x00", "a bc"),
    ],
)
def test_t17_text_is_dead_unless_it_is_meant_to_live(said: str, shown: str) -> None:
    assert messages.Span(said).shown == shown


def test_what_we_write_ourselves_can_be_tapped() -> None:
    assert text.command("/plans").shown == "/plans"
    assert text.paragraphs("Ask @help\n\nhttps://x.io") == [
        (messages.Span("Ask @help", live=True),),
        (),
        (messages.Span("https://x.io", live=True),),
    ]


@given(st.text(max_size=300), st.integers(0, 100))
@settings(deadline=None)
def test_t16_a_shortened_text_fits(words: str, limit: int) -> None:
    short = text.shortened(words, limit)

    assert messages.units(messages.Span(short).shown) <= limit
    assert short in {words, ""} or short.endswith("…")
