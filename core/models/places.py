"""Gated places: what they are, which plans open them, who is in them, and what the rounds through them found."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.columns import BigId, Json
from core.models.base import Base


class Place(Base):
    """A Telegram channel or group, or a Discord role with its channel; one post there reaches everybody inside.

    `space` is the Telegram chat or the Discord server, `channel` where signals are posted (on Telegram the same). What
    the catalogue declares is `fixed`; the rest was set up in chat. `fault` says in words what hinders us there.
    """

    __tablename__ = "places"
    key: Mapped[str] = mapped_column(String(24), primary_key=True)
    platform: Mapped[str] = mapped_column(String(16))
    space: Mapped[str] = mapped_column(String(32))
    role: Mapped[str] = mapped_column(String(32), default="")
    channel: Mapped[str] = mapped_column(String(32), default="")
    name: Mapped[str] = mapped_column(String(100))
    symbols: Mapped[list[str]] = mapped_column(Json, default=list)
    fixed: Mapped[bool] = mapped_column(default=False)
    fault: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]

    def carries(self, symbol: str) -> bool:
        """Whether signals of this market are posted here."""
        return not self.symbols or symbol in self.symbols


class PlacePlan(Base):
    """A plan that opens a place."""

    __tablename__ = "place_plans"
    place: Mapped[str] = mapped_column(ForeignKey("places.key"), primary_key=True)
    plan: Mapped[str] = mapped_column(String(24), primary_key=True)


class Presence(Base):
    """Somebody in a gated place, or at its door, as far as we know; also people who never wrote to us.

    `kept` are owners, administrators and bots, who are never removed. `asked_at` is set while a request to join waits.
    The last thing we did about them is the delivery `delivery_id`; `version` numbers these.
    """

    __tablename__ = "presences"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    place: Mapped[str] = mapped_column(ForeignKey("places.key"))
    external_id: Mapped[str] = mapped_column(String(32))
    inside: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    kept: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    asked_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    link: Mapped[str] = mapped_column(String(200), default="", server_default="")
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    version: Mapped[int] = mapped_column(default=0, server_default="0")
    __table_args__ = (
        UniqueConstraint("place", "external_id"),
        Index("ix_presences_external_id", "external_id"),
        Index("ix_presences_delivery_id", "delivery_id"),
    )


class Round(Base):
    """One round through the places of a platform: what was found and done, and what was held back for an operator."""

    __tablename__ = "rounds"
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    platform: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    facts: Mapped[dict[str, Any]]
    held: Mapped[int] = mapped_column(default=0, server_default="0")
    released_by: Mapped[str] = mapped_column(String(64), default="", server_default="")
    __table_args__ = (Index("ix_rounds_platform", "platform", "id"),)
