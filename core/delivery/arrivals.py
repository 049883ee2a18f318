"""How the openings of the last signals arrive: counted by what became of them, and how long they took."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.models import Delivery, Signal, SignalStatus, State

_SAMPLE = 2000
_WORDS = {
    State.SENT: "delivered",
    State.PENDING: "waiting",
    State.CLAIMED: "waiting",
    State.SENDING: "waiting",
    State.AMBIGUOUS: "unsure",
    State.BLOCKED: "blocked",
    State.DEAD: "failed",
    State.EXPIRED: "left out",
}

WORDS = tuple(dict.fromkeys(_WORDS.values()))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A signal and to how many chats its opening was delivered, is waiting and so on; nothing of what it says.

    `counts` names what there is of WORDS, in their order.
    """

    signal_id: int
    at: datetime
    open: bool
    late: bool
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        """Whether its counts stay as they are: it is closed, so nobody new gets it, and nothing is on its way."""
        return not (self.open or self.counts.get("waiting") or self.counts.get("unsure"))


async def last(session: AsyncSession, *, limit: int, known: Iterable[Arrivals] = ()) -> Sequence[Arrivals]:
    """The last signals, the newest first; what of those `known` from before is final is not counted again."""
    asked = select(Signal.id, Signal.created_at, Signal.status, Signal.late).order_by(Signal.id.desc()).limit(limit)
    final = {one.signal_id: one for one in known if one.final}
    found = [
        final.get(number) or Arrivals(number, at, status == SignalStatus.OPEN, late)
        for number, at, status, late in await session.execute(asked)
    ]
    await _count(session, {one.signal_id: one for one in found if one.signal_id not in final})
    return found


async def _count(session: AsyncSession, found: Mapping[int, Arrivals]) -> None:
    opening = (Delivery.signal_id.in_(list(found)), Delivery.event == "opened")
    states = select(Delivery.signal_id, Delivery.state, func.count()).where(*opening)
    counted: Counter[tuple[int | None, str]] = Counter()
    for number, state, count in await session.execute(states.group_by(Delivery.signal_id, Delivery.state)):
        counted[number, _WORDS[State(state)]] += count
    for number, one in found.items():
        one.counts.update({word: counted[number, word] for word in WORDS if counted[number, word]})


async def seconds(session: AsyncSession, signal_ids: Collection[int]) -> Sequence[float]:
    """How long openings of these signals took from the decision to the platform's answer, in order of length.

    Of the newest two thousand that arrived.
    """
    sent = (Delivery.signal_id.in_(list(signal_ids)), Delivery.event == "opened", Delivery.state == State.SENT)
    asked = select(Delivery.created_at, Delivery.settled_at).where(*sent).order_by(Delivery.id.desc()).limit(_SAMPLE)
    spans = [(end - begin).total_seconds() for begin, end in await session.execute(asked) if end is not None]
    return sorted(max(0.0, span) for span in spans)


async def newest(session: AsyncSession) -> datetime | None:
    """When a message of any kind was delivered last."""
    sent = select(Delivery.settled_at).where(Delivery.state == State.SENT, Delivery.settled_at.is_not(None))
    return await session.scalar(sent.order_by(Delivery.id.desc()).limit(1))
