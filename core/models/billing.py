"""What members pay, as the payment provider says."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base, partial


class PlanPrice(Base):
    """What a plan costs, as the payment provider last said; amount in minor units."""

    __tablename__ = "plan_prices"
    plan: Mapped[str] = mapped_column(String(24), primary_key=True)
    price_id: Mapped[str] = mapped_column(String(100))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    interval: Mapped[str] = mapped_column(String(8))
    interval_count: Mapped[int]
    updated_at: Mapped[datetime]


class Customer(Base):
    """Who a member is at the payment provider."""

    __tablename__ = "customers"
    provider: Mapped[str] = mapped_column(String(16), primary_key=True)
    external_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)


class Subscription(Base):
    """The provider's subscription as last re-read; `access_until` is what the pure rule made of it."""

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
    __table_args__ = (UniqueConstraint("provider", "external_id"),)


class Checkout(Base):
    """A reserved attempt to pay; one open attempt for each member and plan."""

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
    __table_args__ = (partial("uq_checkouts_open", "member_id", "plan", where="state = 'open'", unique=True),)
