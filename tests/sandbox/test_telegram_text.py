"""Strict reading of HTML, entities and buttons; the words are those of the real server."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox import telegram_call, telegram_keyboard, telegram_text

ERRORS = [
    ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
    ("x</b>", "Unexpected end tag at byte offset 1"),
    ("é<b>x</i>", 'Unmatched end tag at byte offset 6, expected "</b>", found "</i>"'),
    ("1 <2>", 'Unsupported start tag "2" at byte offset 2'),
    ("a < b", 'Unsupported start tag "" at byte offset 2'),
    ("<script>", 'Unsupported start tag "script" at byte offset 0'),
    ("<b", "Unclosed start tag at byte offset 0"),
    ("<a href=", 'Unclosed start tag "a" at byte offset 0'),
    ('<a href="x', "Unclosed start tag at byte offset 0"),
    ("<a href=x,y>z</a>", "Unexpected end of name token at byte offset 8"),
    ("<a =x>z</a>", 'Empty attribute name in the tag "a" at byte offset 0'),
    ("<b>x</b", "Unclosed end tag at byte offset 4"),
    ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
]

GOOD = [
    ("<b>b</b><strong>b</strong>", "bold"),
    ("<i>i</i><em>i</em>", "italic"),
    ("<u>u</u><ins>u</ins>", "underline"),
    ("<s>s</s><strike>s</strike><del>s</del>", "strikethrough"),
    ('<tg-spoiler>x</tg-spoiler><span class="tg-spoiler">x</span>', "spoiler"),
    ("<code>x</code>", "code"),
    ("<pre>x</pre>", "pre"),
    ("<blockquote>x</blockquote>", "blockquote"),
    ("<blockquote expandable>x</blockquote>", "expandable_blockquote"),
]


def message(text: str) -> tuple[str, list[telegram_text.Entity]]:
    return telegram_text.formatted(text, "HTML", None)


@pytest.mark.parametrize(("markup", "problem"), ERRORS)
def test_t04_wrong_markup_is_refused_in_the_real_words(markup: str, problem: str) -> None:
    with pytest.raises(telegram_call.Refused) as caught:
        message(markup)
    assert (caught.value.code, caught.value.description) == (400, f"Bad Request: can't parse entities: {problem}")


@pytest.mark.parametrize(("markup", "kind"), GOOD)
def test_supported_tags_become_entities(markup: str, kind: str) -> None:
    assert {entity["type"] for entity in message(markup)[1]} == {kind}


def test_references_are_decoded_and_unknown_ones_stay() -> None:
    assert message("&lt;&gt;&amp;&quot;&#65;&#x42; &nbsp; & &ge;")[0] == '<>&"AB &nbsp; & &ge;'


def test_links_keep_their_address_and_bad_ones_are_only_words() -> None:
    text, [link] = message('<a href="http://127.0.0.1:8080">open</a> <a href="nowhere">shut</a>')
    assert (text, link["url"]) == ("open shut", "http://127.0.0.1:8080/")


def test_preformatted_code_keeps_its_language() -> None:
    _, [entity] = message('<pre><code class="language-python">x = 1</code></pre>')
    assert (entity["type"], entity["language"]) == ("pre", "python")


def test_automatic_entities_are_found_outside_code_only() -> None:
    text, entities = message("/start $BTC #long @ann_trades https://a.io BTC/USDT 12.5 <code>$ETH</code>")
    kinds = [entity["type"] for entity in entities]
    assert kinds == ["bot_command", "cashtag", "hashtag", "mention", "url", "code"]
    assert text.endswith("$ETH")


def test_white_space_around_a_text_is_cut_and_entities_move_with_it() -> None:
    text, [entity] = message("  \n<b>x</b>  ")
    assert (text, entity["offset"], entity["length"]) == ("x", 0, 1)


@settings(deadline=None)
@given(st.text())
def test_t17_escaped_text_always_comes_back_as_it_was(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert telegram_text.html(f"<b>{escaped}</b>")[0] == text


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["<b>", "</b>", "<i>", "</i>", "</>", "<a href='x.io'>", "</a>", "<", ">", "&lt", "🚀", " "])
    )
)
def test_t17_any_markup_is_either_parsed_within_bounds_or_refused(parts: list[str]) -> None:
    problem, text, entities = "", "", list[telegram_text.Entity]()
    try:
        text, entities = message("".join(parts))
    except telegram_call.Refused as refused:
        problem = refused.description
    assert not problem or "can't parse entities" in problem
    assert all(0 <= e["offset"] < e["offset"] + e["length"] <= telegram_text.units(text) for e in entities)


BUTTONS = [
    ({"callback_data": "x"}, "can't parse inline keyboard button: Can't find field \"text\""),
    ({"text": "x"}, "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"),
    (
        {"text": "x", "callback_data": "x", "url": "https://a.io"},
        "can't parse inline keyboard button: Exactly one action",
    ),
    ({"text": "x", "callback_data": "é" * 33}, "BUTTON_DATA_INVALID"),
    (
        {"text": "x", "url": "ftp://a.io"},
        "inline keyboard button URL 'ftp://a.io' is invalid: Unsupported URL protocol",
    ),
    ({"text": "x", "url": "http://nowhere"}, "inline keyboard button URL 'http://nowhere' is invalid: Wrong HTTP URL"),
]


@pytest.mark.parametrize(("button", "problem"), BUTTONS)
def test_t16_wrong_buttons_are_refused(button: dict[str, str], problem: str) -> None:
    with pytest.raises(telegram_call.Refused) as caught:
        telegram_keyboard.checked({"inline_keyboard": [[button]]})
    assert caught.value.description.startswith(f"Bad Request: {problem}")


def test_t16_a_button_with_64_bytes_of_data_is_accepted() -> None:
    markup = {"inline_keyboard": [[{"text": "x", "callback_data": "é" * 32}]]}
    assert telegram_keyboard.checked(markup) == markup
