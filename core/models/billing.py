"""What members pay, as the payment provider says."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId, Json
from core.models.base import Base, partial


class PlanPrice(Base):
    """What a plan costs, as the payment provider last said; `amount` in minor units, `position` as in the catalogue.

    One row for each currency that a price can be paid in; `main` is the price's own one.
    """

    __tablename__ = "plan_prices"
    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    price_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    plan: Mapped[str] = mapped_column(String(24), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    interval: Mapped[str] = mapped_column(String(8))
    interval_count: Mapped[int]
    main: Mapped[bool]
    position: Mapped[int]
    updated_at: Mapped[datetime]


class Customer(Base):
    """Who a member is at the payment provider."""

    __tablename__ = "customers"
    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    external_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)


class Subscription(Base):
    """The provider's subscription as last re-read; `access_until` is what the pure rule made of it.

    `amount` is the price of one seat for a period of `interval_count` times `interval`, in minor units, before
    discounts and taxes; None while the provider does not say it. `claims` are payments of it that were ever taken back
    or disputed: they are looked at with every reading.
    """

    __tablename__ = "subscriptions"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    provider: Mapped[str] = mapped_column(String(16))
    external_id: Mapped[str] = mapped_column(String(100))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    customer_id: Mapped[str] = mapped_column(String(100), index=True)
    plan: Mapped[str] = mapped_column(String(24))
    status: Mapped[str] = mapped_column(String(40))
    snapshot: Mapped[dict[str, Any]]
    access_until: Mapped[datetime | None]
    cancels_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime]
    told: Mapped[str] = mapped_column(String(64), default="", server_default="")
    quantity: Mapped[int] = mapped_column(default=1, server_default="1")
    amount: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3), default="", server_default="")
    interval: Mapped[str] = mapped_column(String(8), default="", server_default="")
    interval_count: Mapped[int] = mapped_column(default=1, server_default="1")
    ended_at: Mapped[datetime | None]
    claims: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")
    __table_args__ = (UniqueConstraint("provider", "external_id"),)


class Checkout(Base):
    """A reserved attempt to pay; one open attempt for each member and plan, and one for a gift of it.

    What is asked of the provider is made from this row and from nothing else, so the same key says the same each time:
    the price, the currency, the seats, the days for free, the partner who is to be thanked.
    """

    __tablename__ = "checkouts"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    plan: Mapped[str] = mapped_column(String(24))
    provider: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(12))
    session_id: Mapped[str | None] = mapped_column(String(100), unique=True)
    url: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    price_id: Mapped[str] = mapped_column(String(100), default="", server_default="")
    currency: Mapped[str] = mapped_column(String(3), default="", server_default="")
    quantity: Mapped[int] = mapped_column(default=1, server_default="1")
    trial_days: Mapped[int] = mapped_column(default=0, server_default="0")
    gift: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    partner_id: Mapped[int | None] = mapped_column(ForeignKey("partners.id"))
    __table_args__ = (partial("uq_checkouts_open", "member_id", "plan", "gift", where="state = 'open'", unique=True),)


class Trial(Base):
    """A mark of somebody who had days for free: an account on a chat, or a card; `mark` is a keyed hash of it.

    It stays when the member is deleted, and says nothing about them to who does not hold the key.
    """

    __tablename__ = "trials"
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    subscription: Mapped[str] = mapped_column(String(100))
    """The provider's id of the subscription that was free."""
    at: Mapped[datetime]


class Errand(Base):
    """Something a payment provider must still do for us; states: pending, claimed, done, failed.

    `act` is "cancel", "refund", "end_trial" or "expire"; `target` the provider's id of what it is done to.
    """

    __tablename__ = "errands"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(140), unique=True)
    provider: Mapped[str] = mapped_column(String(16))
    act: Mapped[str] = mapped_column(String(12))
    target: Mapped[str] = mapped_column(String(100))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    why: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(10), default="pending")
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(String(200), default="")
    __table_args__ = (partial("ix_errands_due", "provider", "id", where="state IN ('pending', 'claimed')"),)


class Gift(Base):
    """One period of a plan, bought by `member_id` for somebody else; `grant_id` once it was taken.

    `status` is what the provider last said of its one payment: "paid", "refunded" or "disputed".
    """

    __tablename__ = "gifts"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    checkout_id: Mapped[int] = mapped_column(ForeignKey("checkouts.id"), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    plan: Mapped[str] = mapped_column(String(24))
    interval: Mapped[str] = mapped_column(String(8))
    interval_count: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    payment_id: Mapped[str] = mapped_column(String(100), index=True)
    status: Mapped[str] = mapped_column(String(10))
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"), unique=True)
    created_at: Mapped[datetime]
    read_at: Mapped[datetime]


class Invitation(Base):
    """A code that can be used once, for a seat of a subscription or for a gift; `code_hash` is all that is kept of it.

    `note` is what the one who made it calls the person it is for.
    """

    __tablename__ = "invitations"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    """Who made it."""
    subscription_id: Mapped[int | None] = mapped_column(ForeignKey("subscriptions.id"), index=True)
    gift_id: Mapped[int | None] = mapped_column(ForeignKey("gifts.id"), index=True)
    note: Mapped[str] = mapped_column(String(60), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("grants.id"), unique=True)
    """What became of it."""


class Partner(Base):
    """Somebody who brings members, under a code of their own; `promotion` is a discount's id at the provider."""

    __tablename__ = "partners"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    code: Mapped[str] = mapped_column(String(24), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    promotion: Mapped[str] = mapped_column(String(100), default="")
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
