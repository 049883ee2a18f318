"""Who our members are, on which chats, and what operators gave them by hand."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base, partial


class Member(Base):
    """A person; what they are called on each chat is an Identity.

    `merged_into` is who they became when two accounts turned out to be one person's, `moved_at` when an account of
    theirs was last exchanged for another.
    """

    __tablename__ = "members"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime]
    muted: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    deleted_at: Mapped[datetime | None]
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    moved_at: Mapped[datetime | None]
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"), index=True)
    """Who brought them; the first one stays."""


class Identity(Base):
    """A member's account on one platform; `address` is the private chat, `blocked_at` is set when it refuses us.

    `route` is how signals are to arrive here: "private", "place", "both", or "" for what is usual on the platform.
    """

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
    route: Mapped[str] = mapped_column(String(8), default="", server_default="")
    __table_args__ = (
        UniqueConstraint("platform", "external_id"),
        Index("ix_identities_platform_address", "platform", "address"),
    )


class ApiKey(Base):
    """A key for a member's own tools: `prefix` names it, `hash` is all we keep of the rest.

    `scopes` are words apart by spaces: "read" to look, "act" to set something going.
    """

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    name: Mapped[str] = mapped_column(String(40))
    prefix: Mapped[str] = mapped_column(String(12), unique=True)
    hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[str] = mapped_column(String(80), default="read act", server_default="read act")


class Grant(Base):
    """Access that somebody gave: an operator by hand, who pays for a seat, or who paid for a gift; `source` says which.

    For ever when `until` is empty. A seat has its number and the subscription that pays for it; `until` is then what
    that subscription gives. `told` is what the member last heard of it.
    """

    __tablename__ = "grants"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    plan: Mapped[str] = mapped_column(String(24))
    until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(200), default="")
    granted_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    source: Mapped[str] = mapped_column(String(8), default="operator", server_default="operator")
    subscription_id: Mapped[int | None] = mapped_column(ForeignKey("subscriptions.id"))
    seat: Mapped[int | None]
    told: Mapped[str] = mapped_column(String(8), default="", server_default="")
    __table_args__ = (
        partial(
            "uq_grants_seat",
            "subscription_id",
            "seat",
            where="subscription_id IS NOT NULL AND revoked_at IS NULL",
            unique=True,
        ),
        partial(
            "uq_grants_member_seat",
            "subscription_id",
            "member_id",
            where="subscription_id IS NOT NULL AND revoked_at IS NULL",
            unique=True,
        ),
    )


class Audit(Base):
    """Something an operator did or tried to do."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]]
    __table_args__ = (Index("ix_audit_actor", "actor", "action", "at"),)


class LinkRequest(Base):
    """One account's wish to belong to the same member as another; `code_hash` is all that is kept of its code.

    `identity_id` made the code, `other_id` used it; each side says yes for itself. `outcome` ends it: "linked",
    "refused", "replaced" by a newer one.
    """

    __tablename__ = "link_requests"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    identity_id: Mapped[int] = mapped_column(ForeignKey("identities.id"), index=True)
    other_id: Mapped[int | None] = mapped_column(ForeignKey("identities.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    confirmed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    other_confirmed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    outcome: Mapped[str] = mapped_column(String(12), default="", server_default="")
