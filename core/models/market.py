"""Candles and what is known of the markets they come from."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from core.models.base import Base


class Candle(Base):
    """One closed candle; open_time in epoch milliseconds."""

    __tablename__ = "candles"
    exchange: Mapped[str] = mapped_column(String(30), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(45), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(4), primary_key=True)
    open_time: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    open: Mapped[Decimal]
    high: Mapped[Decimal]
    low: Mapped[Decimal]
    close: Mapped[Decimal]
    volume: Mapped[Decimal]


class Market(Base):
    """What the exchange says of a market: the tick that its prices are multiples of."""

    __tablename__ = "markets"
    exchange: Mapped[str] = mapped_column(String(30), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(45), primary_key=True)
    tick: Mapped[Decimal]
    updated_at: Mapped[datetime]
