"""The tables of params in docs/strategies.md; `python -m tests.core.strategies.tables` writes them from the models."""

import re
from pathlib import Path

from core import strategies

PAGE = Path(__file__).parents[3] / "docs" / "strategies.md"
_PLACE = re.compile(r"(<!-- params: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with every table as it must be."""
    return _PLACE.sub(lambda place: f"{place[1]}\n{table(place[2])}\n{place[3]}", page)


def shown(page: str) -> list[str]:
    """The strategies whose params the page has a place for."""
    return [place[1] for place in _PLACE.findall(page)]


def table(name: str) -> str:
    """The params of this strategy, one line each."""
    strategy = strategies.create(name, {})
    lines = ["| param | default | allowed | meaning |", "|---|---|---|---|"]
    for param, field in strategy.Params.model_json_schema()["properties"].items():
        default = str(field["default"]).lower() if field["type"] == "boolean" else f"{field['default']:g}"
        lines.append(f"| `{param}` | {default} | {_allowed(field)} | {field['description'].rstrip('.')} |")
    return "\n".join(lines) + f"\n\nIt looks at {strategy.warmup} candles with the defaults.\n"


def _allowed(field: dict[str, object]) -> str:
    if field["type"] == "boolean":
        return "true, false"
    low, high = field.get("minimum"), field.get("maximum")
    least = f"{low} " if low is not None else f"above {field['exclusiveMinimum']}, "
    return least + (f"to {high}" if high is not None else f"below {field['exclusiveMaximum']}")


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
