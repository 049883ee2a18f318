"""What all tables share: the naming of constraints, the column types, and partial indexes."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, MetaData, text
from sqlalchemy.orm import DeclarativeBase

from core.columns import Bytes, Json, Price, Utc


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Utc, Decimal: Price, dict[str, Any]: Json, bytes: Bytes}  # noqa: RUF012 - SQLAlchemy


def partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index over the rows for which the condition holds, on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
