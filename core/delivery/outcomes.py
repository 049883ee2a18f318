"""What became of one attempt to send, and the one table that decides what happens next.

| outcome | opening, notice | update, reply, summary | door |
|---|---|---|---|
| Sent | sent | sent | sent |
| NotSent | again after a pause, at most MAX_ATTEMPTS times, then dead | the same | the same |
| Ambiguous, first time | sent again once, marked "(repeat)" | ambiguous for good | again |
| Ambiguous, second time | ambiguous for good | ambiguous for good | again |
| Ambiguous where a repeat is harmless | again; nothing can arrive twice | the same | again |
| Refused | once more without formatting, then dead | the same | dead |
| Blocked | blocked; the chat is marked | the same | blocked: nobody is there |
| Barred | waits a minute; the operator is alarmed; no attempt is counted | the same | dead; the place is marked |
| Kept | – | – | expired: an owner, administrator or bot |
| Gone | – | expired: nobody can see an answer there any more | – |
| Moved | again at once at the new address | the same | the same |
| Fatal | waits a minute; the operator is alarmed; no attempt is counted | the same | the same |

A repeat is harmless on a platform that recognises it (`RECOGNISED`), and at doors: there nothing is said, and doing the
same again changes nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.models import State

MAX_ATTEMPTS = 60  # with pauses that grow to two minutes this outlasts an outage of an hour and a half
RESENT_KINDS = frozenset({"opening", "notice"})
RECOGNISED = frozenset({"discord"})
"""Platforms on which a message that is sent again under its nonce, or that is found in its channel, is one message."""
DOOR = "door"


@dataclass(frozen=True, slots=True)
class Sent:
    """It lies in the chat under this id; `file_id` names the picture on the platform's side."""

    message_id: str
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """It certainly does not lie in the chat and may be tried again after `after` seconds (None: our own back-off).

    `pause` says who else must wait that long: nobody, this chat, or everyone on the platform.
    """

    reason: str
    after: float | None = None
    pause: str = ""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Nobody can know whether it lies in the chat; `harmless`: and sending it again cannot double it."""

    reason: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The platform will never take this text."""

    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """This chat takes nothing from us until its owner does something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Barred:
    """We may not do that in this place until its owner does something, which `reason` says in words for them."""

    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The person is an owner, an administrator or a bot, who are never put out of a place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Nobody can see an answer there any more; of the person it says nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The chat has a new address."""

    address: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """The platform does not know us (a wrong token): no message can leave, and none is to blame."""

    reason: str


Outcome = Sent | NotSent | Ambiguous | Refused | Blocked | Barred | Kept | Gone | Moved | Fatal


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried: the kind of message and how it went before this attempt."""

    kind: str
    attempts: int
    ambiguities: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Step:
    """The delivery's next state; `not_before` counts for pending ones only."""

    state: State
    reason: str = ""
    not_before: datetime | None = None
    attempts: int = 0
    ambiguities: int = 0
    plain: bool = False


def next_step(outcome: Outcome, attempt: Attempt, *, now: datetime) -> Step:
    """What happens to a delivery after this outcome, by the table above.

    Every pending step takes time or counts as an attempt, so a delivery ends by the cap or by growing too old.
    """
    step = _by_table(outcome, attempt, now)
    if step.state is State.PENDING and step.attempts >= MAX_ATTEMPTS:
        return replace(step, state=State.DEAD, reason=f"given up after {step.attempts} attempts: {step.reason}")
    return step


def _by_table(outcome: Outcome, attempt: Attempt, now: datetime) -> Step:  # noqa: C901, PLR0911 - one table
    tried = attempt.attempts + 1
    step = Step(State.PENDING, "", now, tried, attempt.ambiguities, attempt.plain)
    match outcome:
        case Sent():
            return replace(step, state=State.SENT)
        case NotSent(reason, after):
            wait = timedelta(seconds=min(120.0, 0.5 * 2**attempt.attempts) if after is None else after)
            # A flood pause is no failure of this message, so it costs no attempt; but each step must cost something.
            free = after is not None and after >= 1
            return replace(step, reason=reason, not_before=now + wait, attempts=attempt.attempts if free else tried)
        case Ambiguous(reason, harmless) if harmless or attempt.kind == DOOR:
            wait = timedelta(seconds=min(20.0, 0.5 * 2**attempt.attempts))
            return replace(step, reason=reason, not_before=now + wait, ambiguities=attempt.ambiguities + 1)
        case Ambiguous(reason):
            again = attempt.kind in RESENT_KINDS and attempt.ambiguities == 0
            state = State.PENDING if again else State.AMBIGUOUS
            return replace(step, state=state, reason=reason, ambiguities=attempt.ambiguities + 1)
        case Refused(reason):
            final = attempt.plain or attempt.kind == DOOR
            return replace(step, state=State.DEAD if final else State.PENDING, reason=reason, plain=True)
        case Blocked(reason):
            return replace(step, state=State.BLOCKED, reason=reason)
        case Barred(reason) if attempt.kind == DOOR:
            return replace(step, state=State.DEAD, reason=reason)
        case Kept(reason) | Gone(reason):
            return replace(step, state=State.EXPIRED, reason=reason)
        case Moved():
            return replace(step, reason="the chat moved")
        case Fatal(reason) | Barred(reason):
            return replace(step, reason=reason, not_before=now + timedelta(seconds=60), attempts=attempt.attempts)
