"""The two ledgers of what must not be lost: the inbox and the outbox."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base, partial


class Inbox(Base):
    """What a provider or a chat told us, kept before it was acknowledged; states: pending, claimed, done, dead."""

    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    event_id: Mapped[str] = mapped_column(String(100))
    kind: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(String(10), default="pending")
    received_at: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(String(500), default="")
    __table_args__ = (
        UniqueConstraint("source", "event_id"),
        partial("ix_inbox_due", "source", "id", where="state IN ('pending', 'claimed')"),
    )


class State(StrEnum):
    """The life of a delivery; see docs/delivery.md."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    AMBIGUOUS = "ambiguous"
    BLOCKED = "blocked"
    DEAD = "dead"
    EXPIRED = "expired"


class Delivery(Base):
    """One message for one chat; the outbox. What it says follows from `kind`, `event` and the signal or `payload`.

    A row with a `place` is a post in that gated place; one of kind "door" is no message but an act at its door, its
    event being "in" or "out". `tried_at` is when the first attempt began that has no clear end.
    """

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str | None] = mapped_column(String(100), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    priority: Mapped[int]
    platform: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(400))
    identity_id: Mapped[int | None] = mapped_column(ForeignKey("identities.id"))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    signal_id: Mapped[int | None] = mapped_column(ForeignKey("signals.id"))
    event: Mapped[str | None] = mapped_column(String(10))
    after_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    payload: Mapped[dict[str, Any] | None]
    state: Mapped[State] = mapped_column(String(10), default=State.PENDING)
    reason: Mapped[str] = mapped_column(String(300), default="", server_default="")
    not_before: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    ambiguities: Mapped[int] = mapped_column(default=0, server_default="0")
    plain: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None]
    message_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    place: Mapped[str | None] = mapped_column(String(24))
    tried_at: Mapped[datetime | None]
    request: Mapped[str | None] = mapped_column(String(36))
    """The request that caused it, as logs name it."""
    __table_args__ = (
        UniqueConstraint("signal_id", "event", "platform", "address"),
        Index("ix_deliveries_member", "member_id"),
        Index("ix_deliveries_after", "after_id"),
        partial("ix_deliveries_due", "platform", "priority", "id", where="state = 'pending'"),
        partial("ix_deliveries_held", "lease_until", where="state IN ('claimed', 'sending')"),
    )


class Upload(Base):
    """A picture that a platform already has, under the platform's own name for it."""

    __tablename__ = "uploads"
    platform: Mapped[str] = mapped_column(String(16), primary_key=True)
    picture: Mapped[str] = mapped_column(String(60), primary_key=True)
    file_id: Mapped[str] = mapped_column(String(200))
