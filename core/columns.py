"""Column types that mean the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, Numeric, String, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

BigId = BigInteger().with_variant(Integer(), "sqlite")


class Utc(TypeDecorator[datetime]):
    """An aware UTC moment; a naive one is refused. On SQLite it is text whose order is the order in time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A moment without a time zone cannot be stored: {value!r}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Price(TypeDecorator[Decimal]):
    """An exact decimal: NUMERIC on PostgreSQL, text on SQLite (whose NUMERIC is a float)."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(64) if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - signature
        return None if value is None else Decimal(value)


class Json(TypeDecorator[Any]):
    """A JSON value: JSONB on PostgreSQL, text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(JSONB(none_as_null=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return orjson.loads(value)


class said(GenericFunction[str]):  # noqa: N801 - it is written like SQL's functions
    """What a JSON object says under a key, as text: `said(Subscription.snapshot, "card")`; NULL for what it lacks."""

    type = Text()
    inherit_cache = True


@compiles(said)
def _said(element: said, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_extract_path_text({compiler.process(element.clauses, **options)})"


@compiles(said, "sqlite")
def _said_on_sqlite(element: said, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(part, **options) for part in element.clauses)
    return f"json_extract({column}, '$.' || {key})"


class Level(NamedTuple):
    """A target: its price, the share of the whole that leaves there, and where the stop stands from then on.

    Without `stop` it stays where it was.
    """

    price: Decimal
    share: Decimal
    stop: Decimal | None = None


class Levels(TypeDecorator[tuple[Level, ...]]):
    """Targets in the order in which they are reached, exact: JSON of decimals in words."""

    impl = Json
    cache_ok = True

    def process_bind_param(self, value: tuple[Level, ...] | None, dialect: Dialect) -> Any:  # noqa: ARG002 - signature
        return [[None if part is None else format(part, "f") for part in level] for level in value or ()]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Level, ...]:  # noqa: ARG002 - signature
        return tuple(
            Level(Decimal(price), Decimal(share), None if stop is None else Decimal(stop))
            for price, share, stop in value or ()
        )


Bytes = LargeBinary
