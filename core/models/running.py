"""The product about itself: leases, heartbeats, alarms and the operators' second way to them, figures."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base


class Lease(Base):
    """Who does a work that only one process may do; every new holder gets a higher epoch (a fencing token)."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[datetime]


class Heartbeat(Base):
    """When a part of the product last got somewhere, and how old that may become before it counts as dead (seconds)."""

    __tablename__ = "heartbeats"
    part: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime]
    limit: Mapped[float]
    note: Mapped[str] = mapped_column(String(200), default="")


class Alarm(Base):
    """Something an operator must look at; open until `cleared_at`."""

    __tablename__ = "alarms"
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    text: Mapped[str] = mapped_column(String(400))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1)
    cleared_at: Mapped[datetime | None]


class Alert(Base):
    """What operators are told past the chats, over `channel` (hook or mail); tried again and again until `sent_at`.

    Whoever sends it moves `not_before` first, so that no other process sends it meanwhile.
    """

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(100), unique=True)
    channel: Mapped[str] = mapped_column(String(10))
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(index=True)
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    sent_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(String(200), default="", server_default="")


class Figure(Base):
    """The sum of what all processes have counted under this name; `le` is the upper bound of a histogram's bucket."""

    __tablename__ = "figures"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    label: Mapped[str] = mapped_column(String(60), primary_key=True)
    le: Mapped[str] = mapped_column(String(10), primary_key=True)
    value: Mapped[float]


class Identify(Base):
    """One sign-in at a gateway that allows only so many a day."""

    __tablename__ = "identifies"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime] = mapped_column(index=True)


class Switch(Base):
    """Something an operator has switched on by hand, such as a pause of all new signals; no row means off."""

    __tablename__ = "switches"
    name: Mapped[str] = mapped_column(String(24), primary_key=True)
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
