"""The secrets of intakes and the intakes of the catalogue belong together, and no fault shows a secret."""

from pathlib import Path

import pytest

from core import errors, log, settings

LONG = "0123456789abcdefghij0123=="
BOOK = '[[intakes]]\nkey = "tradingview"\n\n[[intakes]]\nkey = "vendor"\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(log, "_known", set())
    (tmp_path / "signalstack.toml").write_text(BOOK)


def faults(secrets: str) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTAKE_SECRETS", secrets)
        try:
            settings.load(None)
        except errors.ConfigError as error:
            return list(error.faults)
    return []


def test_each_intake_has_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTAKE_SECRETS", f" tradingview={LONG}, vendor = {LONG}1 ,")

    conf, book = settings.load(None)

    assert [intake.key for intake in book.intakes] == ["tradingview", "vendor"]
    assert conf.intake_keys == {"tradingview": LONG, "vendor": f"{LONG}1"}
    assert LONG not in repr(conf)
    assert log.redacted(f"it is {LONG}1 and {LONG}") == f"it is {log.MASK} and {log.MASK}"


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ("", ["no secret for the intake 'tradingview'", "no secret for the intake 'vendor'"]),
        (f"tradingview={LONG}", ["no secret for the intake 'vendor': add vendor=SECRET with at least 24 characters"]),
        (f"tradingview={LONG},vendor={'x' * 23}", ["no secret for the intake 'vendor'"]),
        (f"tradingview={LONG},vendor={LONG},other={LONG}", ["that the catalogue does not have; remove it, or add it"]),
        (f"tradingview={LONG},vendor={LONG},{LONG[:24]}", ["write KEY=SECRET for each intake"]),
        (f"tradingview={LONG},vendor={LONG},vendor={LONG}", ["each key once"]),
    ],
)
def test_what_does_not_fit_is_said_without_any_secret(secrets: str, words: list[str]) -> None:
    found = faults(secrets)

    assert len(found) == len(words)
    for fault, wanted in zip(found, words, strict=True):
        assert wanted in fault
        assert fault.startswith("INTAKE_SECRETS")
        assert LONG[:10] not in fault
        assert "x" * 5 not in fault


def test_a_catalogue_without_intakes_needs_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "signalstack.toml").write_text("")

    assert faults("") == []
    assert "(now: none)" in faults(f"vendor={LONG}")[0]
