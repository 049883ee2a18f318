"""Signals, everything that happened to them, and how far each watch was looked at."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId
from core.models.base import Base, partial


class SignalStatus(StrEnum):
    OPEN = "open"
    TARGET = "target"
    STOPPED = "stopped"
    EXPIRED = "expired"


class Signal(Base):
    """A decision that was published, and what became of it; times of candles are the exchange's, epoch milliseconds."""

    __tablename__ = "signals"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    watch: Mapped[str] = mapped_column(String(130))
    strategy: Mapped[str] = mapped_column(String(40))
    exchange: Mapped[str] = mapped_column(String(30))
    symbol: Mapped[str] = mapped_column(String(45))
    timeframe: Mapped[str] = mapped_column(String(4))
    candle: Mapped[int] = mapped_column(BigInteger)
    direction: Mapped[str] = mapped_column(String(5))
    entry: Mapped[Decimal]
    target: Mapped[Decimal]
    stop: Mapped[Decimal]
    tick: Mapped[Decimal]
    reason: Mapped[str] = mapped_column(String(400))
    figures: Mapped[dict[str, Any]]
    params: Mapped[dict[str, Any]]
    expires: Mapped[int] = mapped_column(BigInteger)
    followed_to: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[SignalStatus] = mapped_column(String(10))
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    close_candle: Mapped[int | None] = mapped_column(BigInteger)
    close_price: Mapped[Decimal | None]
    late: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (
        UniqueConstraint("strategy", "exchange", "symbol", "timeframe", "candle"),
        partial("ix_signals_open", "watch", where="status = 'open'"),
    )


class SignalEvent(Base):
    """One thing that happened to a signal: opened, target, stopped, expired; each at most once."""

    __tablename__ = "signal_events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    signal_id: Mapped[int] = mapped_column(ForeignKey("signals.id"))
    event: Mapped[str] = mapped_column(String(10))
    price: Mapped[Decimal]
    candle: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("signal_id", "event"),)


class ScanMark(Base):
    """How far a watch has been looked at: the open time of the last candle that the strategy has judged."""

    __tablename__ = "scan_marks"
    watch: Mapped[str] = mapped_column(String(130), primary_key=True)
    candle: Mapped[int] = mapped_column(BigInteger)
    scanned_at: Mapped[datetime]
    note: Mapped[str] = mapped_column(String(300), default="")
