"""Buttons, menus and the other components of a message: what Discord takes, and what it answers."""

from collections import Counter
from typing import Any

from tests.sandbox import discord_posts, discord_wire

Json = dict[str, Any]

ROW, BUTTON, STRING_MENU = 1, 2, 3
LINK, PREMIUM = 5, 6
MENUS = frozenset({3, 5, 6, 7, 8})
MEDIA = frozenset({11, 12, 13})
ADDED: dict[int, Json] = {
    14: {"spacing": 1, "divider": True},
    17: {"accent_color": None, "spoiler": False},
    **{kind: {"min_values": 1, "max_values": 1} for kind in MENUS},
}
"""What Discord adds to a component that does not say it, by type."""
MOST_ROWS, MOST_BUTTONS, MOST_OPTIONS, MOST_PARTS = 5, 5, 25, 40


def checked(components: list[Json], flags: int) -> list[Json]:
    """The components as the API answers them, each with its number. Refused with 50035."""
    layout = bool(flags & discord_posts.COMPONENTS_V2)
    if not layout and any(component.get("type") != ROW for component in components):
        raise discord_wire.invalid("components.0.type", "BASE_TYPE_CHOICES", "Value of field must be 1.")
    if len(components) > (MOST_PARTS if layout else MOST_ROWS):
        raise discord_wire.too_long("components", MOST_ROWS)
    made = [_bare(component) for component in components]
    for n, component in enumerate(made):
        _check(component, f"components.{n}")
    names = Counter(part["custom_id"] for part in discord_posts.parts(made) if "custom_id" in part)
    if any(count > 1 for count in names.values()):
        text = "Component custom id cannot be duplicated"
        raise discord_wire.invalid("components", "COMPONENT_CUSTOM_ID_DUPLICATED", text)
    for number, part in enumerate(discord_posts.parts(made), 1):
        part.setdefault("id", number)
    return made


def _bare(component: Json) -> Json:
    """Without the fields that say nothing, and with those Discord adds."""
    made = {name: value for name, value in component.items() if value is not None}
    if "components" in made:
        made["components"] = [_bare(part) for part in made["components"]]
    if "accessory" in made:
        made["accessory"] = _bare(made["accessory"])
    made = ADDED.get(made.get("type", 0), {}) | made
    if made.get("type") == STRING_MENU:
        made["options"] = [{key: value for key, value in one.items() if value is not None} for one in made["options"]]
    return made


def _check(component: Json, path: str) -> None:
    parts = component.get("components", [])
    if component.get("type") in MEDIA:
        raise discord_wire.invalid(path, "NOT_IN_THE_STAND_IN", "The stand-in shows pictures in embeds only.")
    if component.get("type") == ROW and not 1 <= len(parts) <= MOST_BUTTONS:
        text = f"Must be between 1 and {MOST_BUTTONS} in length."
        raise discord_wire.invalid(f"{path}.components", "BASE_TYPE_BAD_LENGTH", text)
    for n, part in enumerate(parts):
        _check(part, f"{path}.components.{n}")
    if component.get("type") == BUTTON:
        _check_button(component, path)
    elif component.get("type") in MENUS:
        _check_name(component, path)
        if component["type"] == STRING_MENU and not 1 <= len(component.get("options", [])) <= MOST_OPTIONS:
            raise discord_wire.invalid(f"{path}.options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.")


def _check_button(button: Json, path: str) -> None:
    if len(button.get("label", "")) > 80:
        raise discord_wire.too_long(f"{path}.label", 80)
    if button.get("style") == LINK:
        if not button.get("url"):
            raise discord_wire.invalid(f"{path}.url", "BUTTON_COMPONENT_URL_REQUIRED", "A url is required")
        if len(button["url"]) > 512:
            raise discord_wire.too_long(f"{path}.url", 512)
    elif button.get("style") != PREMIUM:
        _check_name(button, path)
        if not button.get("label") and not button.get("emoji"):
            text = "Button component must have a label or emoji"
            raise discord_wire.invalid(path, "BUTTON_COMPONENT_INVALID", text)


def _check_name(component: Json, path: str) -> None:
    if not component.get("custom_id"):
        raise discord_wire.invalid(f"{path}.custom_id", "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED", "A custom id required")
    if len(component["custom_id"]) > 100:
        raise discord_wire.too_long(f"{path}.custom_id", 100)
