"""Chat platforms: what each one must do, and which of them the settings switch on.

One platform is one module or package in this folder with two functions: `enabled(settings)` and `build(stack)`. It
imports its vendor's library inside `build` only, so that a process carries no library it does not use.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot import messages
from core import inbox, models, rounds, settings, stack
from core.delivery import outcomes, pacing


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one chat. `picture` is PNG bytes; with a `file_id` the platform already has it.

    `reply_to` is the platform's id of the message that this one answers, `protect` forbids forwarding, `plain` sends
    the bare words because the formatted message was refused. `nonce` is the same at every attempt and at most 25
    characters long; `since` is when the first attempt began that had no clear end.
    """

    address: str
    message: messages.Message
    reply_to: str | None = None
    protect: bool = False
    picture: bytes | None = None
    file_id: str | None = None
    plain: bool = False
    place: str = ""
    nonce: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done at a place's door about one person (`user`, the platform's number of their account).

    `act` is "admit" or "decline" (a request to join), "remove", or "give" and "take" (a role); `space` is the chat or
    server, `place` the place's key.
    """

    act: str
    place: str
    space: str
    role: str
    user: str


class Platform(Protocol):
    """A connection to one chat platform; `last_progress` is the monotonic second of its listener's last progress.

    `keeps_pictures`: a picture that was uploaded has a name there, by which it can be sent again.
    """

    name: str
    keeps_pictures: bool
    last_progress: float

    async def start(self) -> None:
        """The platform knows us and our menus; raises ConfigError or UnreachableError when it does not."""

    async def stop(self) -> None:
        """Nothing is connected any more."""

    async def listen(self) -> None:
        """Everything that people do is put into the inbox, before it is acknowledged, until this is cancelled."""

    async def apply(self, item: inbox.Item) -> None:
        """What a kept item says has taken effect, in one transaction together with the end of the item."""

    async def send(self, parcel: Parcel) -> outcomes.Outcome:
        """What became of one attempt to send; never raises for anything that the platform or the network did."""

    async def attempt(self, act: Act) -> outcomes.Outcome:
        """What became of one attempt at a door; doing what is done already is Sent. Never raises, as `send`."""

    async def inspect(self, place: models.Place) -> Sequence[str]:
        """What hinders us in this place, a sentence each that says what its owner must do; raises UnreachableError."""

    async def hindered(self, channel: str) -> Sequence[str]:
        """What hinders us from posting in this channel, which is no place, as `inspect` says it."""

    async def roster(self, place: models.Place, known: Sequence[str]) -> rounds.Roster:
        """Who is inside now: everybody, or where they cannot be listed, who of the `known`; raises UnreachableError."""

    def limits(self, conf: settings.Settings) -> pacing.Limits:
        """How fast the platform takes our messages."""

    def group(self, address: str) -> bool:
        """Whether the address is a group, which takes fewer messages than a person."""


def enabled(opened: stack.Stack) -> list[Platform]:
    """A connection, not yet started, to every platform that the settings switch on."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in found]
    return [module.build(opened) for module in modules if module.enabled(opened.settings)]


def any_enabled(conf: settings.Settings) -> bool:
    """Whether the settings switch on at least one platform."""
    found = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return any(module.enabled(conf) for module in found)
