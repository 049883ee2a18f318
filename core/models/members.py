"""Who our members are, on which chats, and what operators gave them by hand."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base


class Member(Base):
    """A person; what they are called on each chat is an Identity."""

    __tablename__ = "members"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime]
    muted: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    deleted_at: Mapped[datetime | None]


class Identity(Base):
    """A member's account on one platform; `address` is the private chat, `blocked_at` is set when it refuses us."""

    __tablename__ = "identities"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    platform: Mapped[str] = mapped_column(String(16))
    external_id: Mapped[str] = mapped_column(String(32))
    address: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(128), default="")
    username: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    blocked_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("platform", "external_id"),
        Index("ix_identities_platform_address", "platform", "address"),
    )


class Grant(Base):
    """Access that an operator gave by hand; for ever when `until` is empty."""

    __tablename__ = "grants"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    plan: Mapped[str] = mapped_column(String(24))
    until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(200), default="")
    granted_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Audit(Base):
    """Something an operator did or tried to do."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]]
