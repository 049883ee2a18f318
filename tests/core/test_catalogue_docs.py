"""What the documents say about selling is what the catalogue understands."""

import re
import tomllib
from pathlib import Path

import pytest

from core import catalogue, sold

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["selling.md", "catalogue.md"])
def test_every_example_is_a_catalogue(name: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        said = {part: value for part, value in tomllib.loads(block).items() if part not in {"service", "strategies"}}
        faults = catalogue.Catalogue.model_validate(said).faults()
        assert [fault for fault in faults if "price_…" not in fault] == []  # one stands for many there


def test_every_choice_of_the_policy_is_in_the_document() -> None:
    text = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    assert [name for name in catalogue.Policy.model_fields if name not in text] == []
    assert [name for name in sold.Price.model_fields if f"{name} =" not in text] == []
