"""What is asked, by whom and where, and what comes back: the shapes in which commands and platforms meet."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from bot import messages
from core import catalogue, models, settings

_NUMBER = re.compile(r"#?([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that a person said or pressed; who said it counts, not where.

    `chat` is where it was said, `home` the person's private chat; they are equal when `private`. `data` is the command
    line of a pressed button. `answer_at` is where only this person sees the answer, when that is not their private chat
    (on Discord), and `reachable` False when asking does not prove that the private chat takes our messages.
    """

    platform: str
    external_id: str
    chat: str
    home: str
    private: bool
    name: str
    username: str | None
    text: str
    data: str = ""
    answer_at: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class Desk:
    """What is needed to answer; `username` is the bot's own name on the platform."""

    settings: settings.Settings
    catalogue: catalogue.Catalogue
    now: datetime
    username: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer and the chat that gets it."""

    address: str
    message: messages.Message


@dataclass(frozen=True, slots=True)
class Visit:
    """A known person with a question, in private; `where` the answer goes, if not to their private chat."""

    identity: models.Identity
    argument: str
    desk: Desk
    where: str = ""

    @property
    def actor(self) -> str:
        """Who asks, as audits and grants name them."""
        return f"{self.identity.platform}:{self.identity.external_id}"

    @property
    def operator(self) -> bool:
        """Whether the person is one of the operators."""
        return operates(self.desk, self.identity.platform, self.identity.external_id)


def operates(desk: Desk, platform: str, external_id: str) -> bool:
    """Whether this account is an operator's; only its platform and number count."""
    return (platform, external_id) in desk.settings.admin_ids


Answer = Callable[[AsyncSession, Visit], Awaitable[messages.Message]]


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be said with a command, for platforms that ask for it by name.

    `kind`: "text", "number", "user" (said as platform:number), "pair" (one of the watched, completed while typing),
    "plan" (one of the catalogue's), "strategy", "timeframe" (one of those that are watched), or "choice" (one of
    `choices`). `word` is said before it in the command line.
    """

    name: str
    description: str
    required: bool = False
    kind: str = "text"
    choices: tuple[str, ...] = ()
    word: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table; `group` puts it on the menu of groups too, `operator` keeps it for operators.

    `slash` is its place on platforms with grouped commands ("signals latest"; empty: under its own name), `options`
    what is asked for there; the command line is then /name and their values in this order. `topic` is where the help
    text lists it.
    """

    name: str
    description: str
    answer: Answer
    topic: str
    group: bool = False
    slash: str = ""
    options: tuple[Option, ...] = ()
    operator: bool = False


def number(said: str) -> int | None:
    """The whole number that was said, also after a # sign; None for anything else, and for what no row can have."""
    found = _NUMBER.fullmatch(said.strip())
    return int(found[1]) if found else None
