"""What we say about the keys of the API."""

from collections.abc import Collection, Sequence

from bot.messages import figures, text
from core import keys, models

REVOKED = "That key works no more."
NO_SUCH_KEY = "You have no such key."


def listed(held: Sequence[models.ApiKey], public_url: str, *, said: str = "") -> text.Message:
    """The member's keys by name, never the keys themselves, with a button to end each."""
    rows = [
        text.line(
            text.bold(one.name),
            f" · sst_{one.prefix}_… · {_may(one.scopes.split())} · made {figures.day(one.created_at)} · "
            + (f"last used {figures.day(one.last_used_at)}" if one.last_used_at else "never used"),
        )
        for one in held
    ]
    return text.message(
        *([text.line(said), text.BLANK] if said else []),
        text.line(text.bold("Keys for your own tools")),
        *(rows or [text.line("You have none yet.")]),
        text.BLANK,
        text.line("With a key your programs read what you read here: ", text.Span(f"{public_url}/docs", live=True)),
        text.line(
            "Make one with ", text.command("/apikey"), " new and a name; “read” after it makes one that only looks."
        ),
        buttons=[*_ends(held), *([[text.Button("Make a key", data="/apikey new")]] if len(held) < keys.MOST else [])],
    )


def _ends(held: Sequence[models.ApiKey]) -> list[list[text.Button]]:
    return [[text.Button(f"Revoke {one.name}", data=f"/apikey revoke {one.prefix}")] for one in held]


def _may(scopes: Collection[str]) -> str:
    return "looks and acts" if keys.ACT in scopes else "only looks"


def made(key: str, public_url: str, scopes: Collection[str]) -> text.Message:
    """A new key, which nobody sees again."""
    return text.message(
        text.line(text.bold("Your new key")),
        text.line(text.Span(key, "code")),
        "Keep it where only your program reads it. We show it this once, and keep no copy that could be read.",
        *([] if keys.ACT in scopes else ["It may look, and set nothing going."]),
        text.line("What it opens: ", text.Span(f"{public_url}/docs", live=True)),
        buttons=[[text.Button("My keys", data="/apikey")]],
    )


def not_paying(held: Sequence[models.ApiKey]) -> text.Message:
    """Keys are for subscribers; those that were made before can still be ended."""
    return text.message(
        "Keys for your own tools come with a subscription. While you have none, your keys open nothing.",
        buttons=[*_ends(held), [text.Button("Plans and prices", data="/plans")]],
    )
