"""The steps of a newcomer's way, and which of them Maya has behind her, from what the stand-ins saw."""

from typing import Any

from tests.sandbox import checker_reading, telegram_chats
from tests.sandbox import world as worlds

Row = dict[str, Any]

_STEPS = {
    "started": "Press Start",
    "paid": "Subscribe; some days are free",
    "signal": "Wait for a signal with chart",
    "result": "See how it ends, as a reply",
    "entered": "Send /join and enter VIP signals",
    "linked": "Link Discord with /link",
    "posted": "See a signal in #signals there",
    "given": "Buy a gift with /gift",
    "taken": "Send its /redeem line as Noah",
    "charged": "End the free days, below",
    "changed": "Change the plan with /billing",
    "planned": "Cancel with /cancel",
    "ended": "End the paid time, below",
    "left": "See both places close",
}
_ON_BOTH = frozenset({"entered", "linked", "posted", "given", "taken", "charged", "changed", "left"})
_PAYING = {
    "stripe_paid": "paid",
    "stripe_bought": "given",
    "stripe_renewed": "charged",
    "stripe_cancel_planned": "planned",
    "stripe_ended": "ended",
}
_HERS = ((worlds.VIP, worlds.MEMBER), (worlds.SIGNALS, worlds.MAYA_D))
"""The gated places, and Maya's account on the chat where each of them is."""


class Steps:
    """The way in this world; without Discord and places it is shorter."""

    def __init__(self, world: worlds.World) -> None:
        self._world = world
        self._steps = {key: text for key, text in _STEPS.items() if world.both or key not in _ON_BOTH}
        self._met: set[str] = set()
        self._bought: dict[str, tuple[str, int]] = {}

    def met(self, key: str) -> bool:
        return key in self._met

    def shown(self) -> list[dict[str, object]]:
        """The steps in their order, each with whether it is done."""
        return [{"text": text, "done": key in self._met} for key, text in self._steps.items()]

    def take(self, row: Row) -> None:
        """What this event completes is done."""
        match row["event"]:
            case "telegram_message" | "discord_message":
                self._met.update(self._by_message(row))
            case "telegram_member" if row["user_id"] == worlds.MEMBER:
                self._met.update(self._at_door("entered", inside=row["status"] in telegram_chats.IN_CHAT))
            case "discord_member" if (row["user_id"], row["role_id"]) == (worlds.MAYA_D, worlds.ROLE):
                self._met.update(self._at_door("linked", inside=row["has"]))
            case "telegram_stars_paid" if row["user_id"] == worlds.MEMBER:
                self._met.add("paid" if row["period"] else "given")
            case "stripe_event_sent" if row["type"] == "customer.subscription.updated":
                self._met.update(["changed"] if self._is_other() else [])
            case event if event in _PAYING:
                self._is_other()
                self._met.add(_PAYING[event])

    def _is_other(self) -> bool:
        """Whether a subscription is to another price or quantity than when it was first seen."""
        for sub in self._world.stripe.account.all("subscription"):
            now = (sub["items"]["data"][0]["price"]["id"], sub["items"]["data"][0]["quantity"])
            if self._bought.setdefault(sub["id"], now) != now:
                return True
        return False

    def _by_message(self, row: Row) -> list[str]:
        chat = checker_reading.where(row)
        if "a gift from" in row["text"]:
            return ["taken"]
        if chat == worlds.MEMBER:
            met = ["started"]
        elif not any(chat in {place, ("channel", place)} and self._world.is_inside(place, who) for place, who in _HERS):
            return []
        else:
            met = []
        signal = bool(checker_reading.openings([row]))
        met += ["signal"] if signal else []
        met += ["posted"] if signal and chat == ("channel", worlds.SIGNALS) else []
        return met + (["result"] if checker_reading.updates([row]) else [])

    def _at_door(self, step: str, *, inside: bool) -> list[str]:
        if inside:
            return [step]
        outside = not any(self._world.is_inside(place, who) for place, who in _HERS)
        return ["left"] if outside and "ended" in self._met else []
