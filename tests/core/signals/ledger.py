"""Records made without a database, for what is proved of their lines alone."""

import random
from decimal import Decimal
from typing import Any

from core.signals import entries, results

AT = "2026-01-15T12:00:00.000Z"


class Ledger:
    """Lines in one chain, as the product writes them; `lines` are whole ones, the last line comes with `whole`."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.entries: list[dict[str, Any]] = []
        self.secrets: dict[int, list[tuple[int, dict[str, Any]]]] = {}

    @property
    def lines(self) -> list[bytes]:
        return [entries.canonical(entry) + b"\n" for entry in self.entries]

    @property
    def whole(self) -> list[bytes]:
        """All lines, with the one that ends the record."""
        return [*self.lines, entries.trailer(len(self.entries), self.head)]

    @property
    def head(self) -> str:
        return self.entries[-1]["hash"] if self.entries else entries.NOTHING

    def add(self, signal: int, kind: str, **facts: Any) -> dict[str, Any]:
        n = len(self.entries) + 1
        entry = {"n": n, "at": AT, "signal": signal, "kind": kind, "previous": self.head, **facts}
        self.entries.append(entries.sealed(entry))
        return self.entries[-1]

    def commit(self, signal: int, kind: str, details: dict[str, Any]) -> None:
        secret = {"details": details, "salt": self.random.randbytes(32).hex()}
        entry = self.add(signal, kind, commitment=entries.digest(secret))
        self.secrets.setdefault(signal, []).append((entry["n"], secret))

    def open(self, signal: int, **given: Any) -> dict[str, Any]:
        made = details(**given)
        self.commit(signal, "opened", made)
        return made

    def reach(self, signal: int, number: int, price: str, share: str, stop: str) -> None:
        self.commit(signal, f"target{number}", {"candle": 7, "price": price, "share": share, "stop": stop})

    def close(self, signal: int, kind: str, price: str, share: str = "1", **changed: Any) -> dict[str, Any]:
        """The signal closes; `changed` are facts to tell otherwise than they were."""
        told = self.secrets.pop(signal, [])
        plan = changed.get("unsealed", {}).get("details") or told[0][1]["details"]
        parts = [secret["details"] for _, secret in told if "price" in secret["details"]]
        exits = [{"price": part["price"], "share": part["share"]} for part in parts]
        closing = ended(plan, [*exits, {"price": price, "share": share}])
        given = {"closing": closing | changed.pop("closing", {})}
        given["reveal"] = [{"n": n, **secret} for n, secret in told]
        return self.add(signal, kind, **(given | changed))


def details(**given: Any) -> dict[str, Any]:
    usual = {
        "candle": 1,
        "direction": "long",
        "entry": "100.0",
        "exchange": "binance",
        "expires": 9,
        "fee": "0.1",
        "late": False,
        "slippage": "0.05",
        "stop": "95.0",
        "strategy": "mean_reversion",
        "symbol": "BTC/USDT",
        "targets": [
            {"price": "105.0", "share": "0.5", "stop": "100.0"},
            {"price": "110.0", "share": "0.5", "stop": None},
        ],
        "tick": "0.1",
        "timeframe": "1h",
    }
    return usual | given


def ended(plan: dict[str, Any], exits: list[dict[str, str]], filled: str = "100.5") -> dict[str, Any]:
    """What a closing entry says of these exits."""
    average = sum((Decimal(one["share"]) * Decimal(one["price"]) for one in exits), Decimal(0))
    made = results.Trade(
        long=plan["direction"] == "long",
        entry=Decimal(plan["entry"]),
        stop=Decimal(plan["stop"]),
        filled=Decimal(filled),
        exit=average,
        fee=Decimal(plan["fee"]),
        slippage=Decimal(plan["slippage"]),
    )
    figures = {"average_exit": str(average), "percent": str(made.percent), "r": str(made.r)}
    return {"candle": 8, "exits": exits, "filled": filled, **figures}


def story(seed: int, signals: int = 4) -> Ledger:
    """A record of several signals whose events mix; the last one may be open still."""
    made = Ledger(seed)
    stages = dict.fromkeys(range(1, signals + 1), 0)
    while stages:
        signal = made.random.choice(sorted(stages))
        stages[signal] += 1
        match stages[signal], signal % 4:
            case 1, _:
                made.open(signal)
            case 2, 1 | 2:
                made.reach(signal, 1, "105.2", "0.5", "100.0")
            case 2, 3:
                made.close(signal, "stopped", "94.9")
            case 3, 1:
                made.close(signal, "target", "110.0", "0.5")
            case _, 0:
                del stages[signal]
            case _:
                made.close(signal, "expired", "103.0", "0.5")
        if signal in stages and signal not in made.secrets:
            del stages[signal]
    return made
