"""Who is heard, and who is not."""

from typing import Any

import pytest

from bot import commands
from bot.platforms.telegram import updates

ANN = {"id": 7, "is_bot": False, "first_name": "Ann", "last_name": "Lee\u202e", "username": "ann"}
PRIVATE = {"id": 7, "type": "private"}
GROUP = {"id": -5, "type": "supergroup"}


def message(**given: Any) -> dict[str, Any]:
    return {"update_id": 1, "message": {"from": ANN, "chat": PRIVATE, "text": "/status"} | given}


def test_a_private_message_is_an_ask_of_its_sender() -> None:
    assert updates.read(message()) == commands.Ask("telegram", "7", "7", "7", True, "Ann Lee", "ann", "/status")


def test_in_a_group_the_sender_is_asked_back_home() -> None:
    ask = updates.read(message(chat=GROUP))

    assert isinstance(ask, commands.Ask)
    assert (ask.chat, ask.home, ask.private) == ("-5", "7", False)


@pytest.mark.parametrize(
    "unheard",
    [
        {"text": None},
        {"text": "   "},
        {"from": ANN | {"is_bot": True}},
        {"sender_chat": GROUP},
        {"forward_origin": {"type": "user"}},
        {"via_bot": {"id": 5}},
        {"chat": {"id": -9, "type": "channel"}},
    ],
)
def test_x05_who_hides_or_forwards_is_not_heard(unheard: dict[str, Any]) -> None:
    assert updates.read(message(**unheard)) is None


def test_x05_edits_posts_and_media_are_not_heard() -> None:
    said = message()["message"]
    for kind in ("edited_message", "channel_post", "edited_channel_post", "inline_query", "chat_member", "poll"):
        assert updates.read({"update_id": 1, kind: said}) is None
    photo = {"from": ANN, "chat": PRIVATE, "photo": [], "caption": "/status"}
    assert updates.read({"message": photo}) is None
    assert updates.read({"message": {"chat": PRIVATE, "text": "/status"}}) is None
    assert updates.read({"update_id": 1}) is None


def press(**given: Any) -> dict[str, Any]:
    return {"callback_query": {"id": "9", "from": ANN, "message": {"chat": PRIVATE}, "data": "/plans"} | given}


def test_t18_the_presser_counts_and_not_the_chat() -> None:
    bob = ANN | {"id": 8, "first_name": "Bob"}

    pressed = updates.read(press(**{"from": bob}))

    assert isinstance(pressed, updates.Press)
    assert pressed.ask is not None
    assert (pressed.ask.external_id, pressed.ask.chat, pressed.ask.home) == ("8", "8", "8")


@pytest.mark.parametrize("odd", [{"data": None}, {"data": " "}, {"message": {}}])
def test_a_press_that_asks_nothing_is_still_acknowledged(odd: dict[str, Any]) -> None:
    assert updates.read(press(**odd)) == updates.Press("9", None)


@pytest.mark.parametrize(
    ("status", "chat", "heard"),
    [
        ("kicked", PRIVATE, updates.Left("7")),
        ("member", PRIVATE, updates.Returned("7")),
        ("kicked", GROUP, None),
    ],
)
def test_t05_blocking_and_coming_back_are_heard(status: str, chat: dict[str, Any], heard: object) -> None:
    change = {"chat": chat, "from": ANN, "new_chat_member": {"status": status}}

    assert updates.read({"my_chat_member": change}) == heard


@pytest.mark.parametrize(
    "odd",
    [
        7,
        None,
        {"message": 5},
        {"message": {"from": {}, "chat": PRIVATE, "text": "/x"}},
        {"message": {"from": ANN | {"id": "x"}, "chat": PRIVATE, "text": "/x"}},
        {"callback_query": {"data": "/x"}},
        {"callback_query": []},
        {"my_chat_member": {}},
    ],
)
def test_what_is_no_update_is_malformed(odd: Any) -> None:
    with pytest.raises(updates.MalformedError):
        updates.read(odd)
