"""Settings of how operators are kept in the picture: every fault in a sentence, and never a secret in one."""

from pathlib import Path
from typing import Any

import pytest

from core import errors, log, settings

MAIL = {"ALERT_EMAIL": "me@example.org, you@example.org", "SMTP_URL": "smtps://me:canary@mail.example.org"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(log, "_known", set())


def load(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> settings.Settings:
    with monkeypatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        return settings.load(None)[0]


def faults(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> list[str]:
    with pytest.raises(errors.ConfigError) as caught:
        load(monkeypatch, env)
    return list(caught.value.faults)


def test_everything_is_off_but_the_daily_message(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = load(monkeypatch, {})
    assert (conf.alert_addresses, conf.heartbeat_hour, conf.otel_exporter_otlp_endpoint) == ((), 7, "")


def test_alerts_by_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = load(monkeypatch, MAIL)
    assert conf.alert_addresses == ("me@example.org", "you@example.org")


def test_alerts_by_mail_need_addresses_and_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MAIL.items():
        (fault,) = faults(monkeypatch, {name: value})
        assert fault.startswith("ALERT_EMAIL and SMTP_URL: alerts by e-mail need both")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALERT_WEBHOOK_URL", "canary-hook", "write a web address"),
        ("ALERT_WEBHOOK_URL", "ftp://canary/", "write a web address"),
        ("ALERT_WEBHOOK_URL", "https://[canary", "write a web address"),
        ("SENTRY_DSN", "canary@sentry", "write a web address"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write a web address"),
        ("SMTP_URL", "mail://me:canary@host", "write smtp://"),
        ("SMTP_URL", "smtp://me:canary@host:port", "write smtp://"),
        ("SMTP_URL", "smtp://", "write smtp://"),
        ("ALERT_EMAIL", "me", "write addresses such as"),
        ("ALERT_EMAIL", "me@example.org\r\nBcc: x@example.org", "write addresses such as"),
        ("ALERT_EMAIL_FROM", "Me <me@example.org>", "write addresses such as"),
        ("HEARTBEAT_HOUR", "24", "less than or equal to 23"),
        ("HEARTBEAT_HOUR", "noon", "integer"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    said = [fault for fault in faults(monkeypatch, {**MAIL, name: value}) if fault.startswith(f"{name}:")]
    assert len(said) == 1
    assert words in said[0]
    assert "canary" not in said[0]


def test_what_is_secret_stays_out_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    env: dict[str, Any] = {"ALERT_WEBHOOK_URL": "https://hooks.example/T0/canary", **MAIL}
    load(monkeypatch, env)
    for value in (env["ALERT_WEBHOOK_URL"], MAIL["SMTP_URL"], "smtps://me:canary@mail.example.org/x"):
        assert "canary" not in log.redacted(f"cannot reach {value} now")
