"""The product about itself: leases, heartbeats, alarms."""

from datetime import datetime

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
