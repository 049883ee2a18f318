"""What stands behind the public address: how well each part was, what went wrong, and where members' tools are told."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base, partial


class Uptime(Base):
    """How many seconds of a day (UTC, as 2026-11-25) a part was seen well, and how many anybody looked."""

    __tablename__ = "uptimes"
    part: Mapped[str] = mapped_column(String(40), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    well: Mapped[int] = mapped_column(default=0, server_default="0")
    seen: Mapped[int] = mapped_column(default=0, server_default="0")


class Incident(Base):
    """Something that members notice, from its beginning to its end, kept for the status page.

    `key` is that of the alarm, or `part:` and the part that made no progress; `text` is the operator's, not the page's.
    """

    __tablename__ = "incidents"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(100))
    text: Mapped[str] = mapped_column(String(400))
    began_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    __table_args__ = (partial("uq_incidents_open", "key", where="ended_at IS NULL", unique=True),)


class Hook(Base):
    """An address of a member's own tool that is told of signals, in the order of the record.

    `cursor` is the number of the last record entry that it has been told of, or that was not for it. Its secret is not
    kept: it follows from SECRET_KEY, the id and `version`. States: active, paused (by the member), disabled (by us).
    """

    __tablename__ = "hooks"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    url: Mapped[str] = mapped_column(String(400))
    form: Mapped[str] = mapped_column(String(10), server_default="json")
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    state: Mapped[str] = mapped_column(String(10), default="active", server_default="active")
    cursor: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    said: Mapped[str] = mapped_column(String(200), default="", server_default="")
    not_before: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    __table_args__ = (partial("ix_hooks_due", "not_before", where="state = 'active'"),)
