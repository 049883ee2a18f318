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
    for kind in ("edited_message", "channel_post", "edited_channel_post", "inline_query", "poll"):
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
        ("kicked", GROUP, updates.Rights("-5")),
        ("administrator", {"id": -6, "type": "channel"}, updates.Rights("-6")),
    ],
)
def test_t05_blocking_and_coming_back_are_heard(status: str, chat: dict[str, Any], heard: object) -> None:
    change = {"chat": chat, "from": ANN, "new_chat_member": {"status": status}}

    assert updates.read({"my_chat_member": change}) == heard


@pytest.mark.parametrize(
    ("member", "inside", "kept"),
    [
        ({"status": "member"}, True, False),
        ({"status": "creator"}, True, True),
        ({"status": "administrator"}, True, True),
        ({"status": "restricted", "is_member": True}, True, False),
        ({"status": "restricted", "is_member": False}, False, False),
        ({"status": "left"}, False, False),
        ({"status": "kicked", "until_date": 0}, False, False),
        ({"status": "something new"}, False, False),
        ({"status": "member", "user": ANN | {"is_bot": True}}, True, True),
        ({"status": "kicked", "user": ANN | {"is_bot": True}}, False, False),
    ],
)
def test_t14_who_came_and_went_is_heard(member: dict[str, Any], inside: bool, kept: bool) -> None:
    change = {"chat": GROUP, "from": ANN | {"id": 9}, "new_chat_member": {"user": ANN} | member}

    assert updates.read({"chat_member": change}) == updates.Change("-5", "7", inside, kept, "9")


def test_t19_a_request_to_join_is_of_its_sender() -> None:
    request = {"chat": GROUP, "from": ANN, "user_chat_id": 77, "date": 1000, "invite_link": {"creator": {"id": 5}}}

    assert updates.read({"chat_join_request": request}) == updates.Knock("-5", "7", "77", 1000)
    assert updates.read({"chat_join_request": request | {"from": ANN | {"is_bot": True}}}) is None


def test_t06_a_group_that_moved_is_heard_whoever_moved_it() -> None:
    moved = message(chat={"id": -5, "type": "group"}, migrate_to_chat_id=-1005, text=None)

    assert updates.read(moved) == updates.Migrated("-5", "-1005")
    assert updates.read(message(chat=GROUP, migrate_from_chat_id=-5, text=None)) is None


def test_t14_we_ask_for_what_is_told_to_those_only_who_ask() -> None:
    assert {"chat_member", "chat_join_request", "my_chat_member"} <= set(updates.KINDS)


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
        {"chat_member": {"chat": GROUP, "from": ANN, "new_chat_member": {"status": "member"}}},
        {"chat_member": {"chat": GROUP, "from": ANN, "new_chat_member": 5}},
        {"chat_join_request": {"chat": GROUP, "from": ANN, "user_chat_id": "x", "date": 1}},
        {"chat_join_request": {"chat": GROUP, "from": ANN, "date": 1}},
        {"message": {"chat": GROUP, "migrate_to_chat_id": None}},
    ],
)
def test_what_is_no_update_is_malformed(odd: Any) -> None:
    with pytest.raises(updates.MalformedError):
        updates.read(odd)
