"""What Telegram accepts as reply markup."""

from typing import Any

from tests.sandbox import telegram_call, telegram_text

_ACTIONS = {
    "url", "callback_data", "web_app", "login_url", "switch_inline_query", "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat", "copy_text", "callback_game", "pay",
}  # fmt: skip
_OTHERS = {"keyboard", "remove_keyboard", "force_reply"}
MOST_BUTTONS = 100


def checked(markup: Any) -> dict[str, Any] | None:
    """The markup, found to be valid; None when there is none. Refused with 400 otherwise."""
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise telegram_call.bad("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return markup if _OTHERS & markup.keys() else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise telegram_call.bad('field "inline_keyboard" of the InlineKeyboardMarkup should be an Array of Arrays')
    kept = [[_button(button) for button in row] for row in rows if row]
    if sum(map(len, kept)) > MOST_BUTTONS:
        raise telegram_call.bad("REPLY_MARKUP_TOO_LONG")
    return {"inline_keyboard": kept} if kept else None


def _button(button: Any) -> dict[str, Any]:
    if not isinstance(button, dict):
        raise _wrong("expected an Object")
    if "text" not in button:
        raise _wrong('Can\'t find field "text"')
    if not isinstance(button["text"], str):
        raise _wrong('Field "text" must be of type String')
    if not button["text"].strip():
        raise telegram_call.bad("inline keyboard button text must be non-empty")
    actions = [name for name in button if name in _ACTIONS and button[name] not in (None, "", False)]
    if not actions:
        raise _wrong("Text buttons are unallowed in the inline keyboard")
    if len(actions) > 1:  # the real server takes one of them silently, the documentation forbids it
        raise _wrong("Exactly one action is allowed")
    return _acting(dict(button), actions[0])


def _acting(button: dict[str, Any], action: str) -> dict[str, Any]:
    if action == "callback_data" and len(str(button[action]).encode()) > 64:
        raise telegram_call.bad("BUTTON_DATA_INVALID")
    if action == "url":
        given = str(button["url"])
        scheme = given.partition("://")[0].lower() if "://" in given else "http"
        problem = "Wrong HTTP URL" if scheme in {"http", "https", "tg"} else "Unsupported URL protocol"
        button["url"] = telegram_text.url(given)
        if button["url"] is None:
            raise telegram_call.bad(f"inline keyboard button URL '{given}' is invalid: {problem}")
    return button


def _wrong(problem: str) -> telegram_call.Refused:
    return telegram_call.bad(f"can't parse inline keyboard button: {problem}")
