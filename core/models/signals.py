"""Signals, everything that happened to them, how far each watch was looked at, and the record that nobody can edit."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Connection, ForeignKey, String, Text, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId, Level, Levels
from core.models.base import Base, partial


class SignalStatus(StrEnum):
    """How a signal stands; closed by its last part, so a signal stopped after a first target is `stopped`."""

    OPEN = "open"
    TARGET = "target"
    STOPPED = "stopped"
    EXPIRED = "expired"
    CLOSED = "closed"
    DELISTED = "delisted"


class Signal(Base):
    """A decision that was published, and what became of it; times of candles are the exchange's, epoch milliseconds.

    `target` is the last of its targets and `stop` the first stop; `stop_now` is where it stands. `filled` is what the
    position counts from: the open of the candle after the deciding one. `left` is the share that is still open,
    `banked` the sum of share times price over the parts that left, `close_price` the average price of all exits.
    `fee` and `slippage` are what was assumed when it was published, percent of the price at each side.
    """

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
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    close_candle: Mapped[int | None] = mapped_column(BigInteger)
    close_price: Mapped[Decimal | None]
    late: Mapped[bool] = mapped_column(default=False)
    ref: Mapped[str] = mapped_column(String(100), server_default="")
    targets: Mapped[tuple[Level, ...]] = mapped_column(Levels, server_default="[]")
    stop_now: Mapped[Decimal | None]
    reached: Mapped[int] = mapped_column(server_default="0")
    filled: Mapped[Decimal | None]
    left: Mapped[Decimal] = mapped_column(server_default="1")
    banked: Mapped[Decimal] = mapped_column(server_default="0")
    fee: Mapped[Decimal] = mapped_column(server_default="0")
    slippage: Mapped[Decimal] = mapped_column(server_default="0")
    seal: Mapped[str] = mapped_column(String(64), server_default="")
    """The hash of its entry in the record."""
    brought: Mapped[int | None] = mapped_column(BigInteger)
    """The result in hundredths of R; None while it is open, and where it closed before results were kept."""
    __table_args__ = (
        UniqueConstraint("strategy", "exchange", "symbol", "timeframe", "candle", "ref"),
        # What a source outside has named is published once, also when it comes again candles later.
        partial("uq_signals_ref", "strategy", "ref", where="ref <> ''", unique=True),
        partial("ix_signals_open", "exchange", "symbol", "timeframe", where="status = 'open'"),
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**(_FRESH | values))

    @property
    def levels(self) -> tuple[Level, ...]:
        """Its targets in the order in which they are reached; all leaves at `target` where nothing else was said."""
        return self.targets or (Level(self.target, Decimal(1)),)


_FRESH = {
    "ref": "",
    "targets": (),
    "reached": 0,
    "left": Decimal(1),
    "banked": Decimal(0),
    "fee": Decimal(0),
    "slippage": Decimal(0),
    "seal": "",
}


class SignalEvent(Base):
    """One thing that happened to a signal: opened, target1 and so on, or its status at the end; each at most once.

    `share` left at `price`; from then on the stop stands at `stop`.
    """

    __tablename__ = "signal_events"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    signal_id: Mapped[int] = mapped_column(ForeignKey("signals.id"))
    event: Mapped[str] = mapped_column(String(10))
    price: Mapped[Decimal]
    candle: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    share: Mapped[Decimal] = mapped_column(server_default="1")
    stop: Mapped[Decimal | None]
    seal: Mapped[str] = mapped_column(String(64), server_default="")
    """The hash of its entry in the record."""
    __table_args__ = (UniqueConstraint("signal_id", "event"),)


class RecordEntry(Base):
    """One line of the record: `line` is what everybody may read, `secret` what opens its commitment later.

    Triggers refuse every change and removal of a row.
    """

    __tablename__ = "record_entries"
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    signal_id: Mapped[int | None] = mapped_column(ForeignKey("signals.id"), index=True)
    line: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[str] = mapped_column(Text, server_default="")
    at: Mapped[datetime]


@event.listens_for(RecordEntry.__table__, "after_create")
def _protect(_table: object, connection: Connection, **_: object) -> None:
    """No statement of the application changes or removes a line of the record, as in the versions of migrations."""
    refusal = "the record cannot be changed"
    if connection.dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER record_entries_no_{act.lower()} BEFORE {act} ON record_entries "
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        return
    connection.exec_driver_sql(
        "CREATE OR REPLACE FUNCTION record_cannot_be_changed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    connection.exec_driver_sql(
        "CREATE TRIGGER record_entries_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON record_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_cannot_be_changed()"
    )


class Backtest(Base):
    """A backtest that somebody asked for in chat or over the API; states: pending, running, done, failed."""

    __tablename__ = "backtests"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(100), unique=True)
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    platform: Mapped[str] = mapped_column(String(16), server_default="")
    address: Mapped[str] = mapped_column(String(400), server_default="")
    request: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(10), server_default="pending")
    created_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str] = mapped_column(String(400), server_default="")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    __table_args__ = (partial("ix_backtests_due", "id", where="state IN ('pending', 'running')"),)


class ScanMark(Base):
    """How far a watch has been looked at: the open time of the last candle that the strategy has judged."""

    __tablename__ = "scan_marks"
    watch: Mapped[str] = mapped_column(String(130), primary_key=True)
    candle: Mapped[int] = mapped_column(BigInteger)
    scanned_at: Mapped[datetime]
    note: Mapped[str] = mapped_column(String(300), default="")
    first: Mapped[int | None] = mapped_column(BigInteger)
    """The first candle that was judged; None where nobody noted it."""
    clock: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The exchange's clock at `scanned_at`, epoch milliseconds; 0 where nobody asked."""
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often the strategy failed at a candle, ever."""
