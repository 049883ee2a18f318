"""Stars, read for the checker: who has paid for a subscription inside Telegram, and whether it was given back."""

from collections.abc import Iterable
from typing import Any

from tests.sandbox import checker_reading

Row = dict[str, Any]


def payers(rows: Iterable[Row]) -> list[checker_reading.Entitlement]:
    """Who had paid from when to when; a payment that went back ends it. Payments without a period are gifts."""
    running: dict[str, tuple[checker_reading.Account, int]] = {}
    over = []
    for row in rows:
        if row["event"] == "telegram_stars_paid" and row["period"] and not row["renewal"]:
            running[row["charge"]] = (row["user_id"], row["n"])
        elif row["event"] == "telegram_stars_refunded" and row["charge"] in running:
            over.append(checker_reading.Entitlement(*running.pop(row["charge"]), row["n"]))
    return over + [checker_reading.Entitlement(user, since) for user, since in running.values()]
