"""Settings of how operators are kept in the picture: alerts past the chats, the daily message, traces and faults."""

import importlib.util
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

_INSTALL = "which is not installed here; run: pip install 'signalstack[observe]', or leave the setting empty."


class Watching(BaseSettings):
    """The part of the settings that changes nothing for members."""

    alert_webhook_url: SecretStr = SecretStr("")
    alert_email: str = Field(default="", max_length=400)
    alert_email_from: str = Field(default="", max_length=200)
    smtp_url: SecretStr = SecretStr("")
    heartbeat_hour: int = Field(default=7, ge=-1, le=23)
    sentry_dsn: SecretStr = SecretStr("")
    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_headers: SecretStr = SecretStr("")

    @field_validator("alert_webhook_url", "sentry_dsn")
    @classmethod
    def _secret_address(cls, value: SecretStr) -> SecretStr:
        _web_address(value.get_secret_value())
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        _web_address(value)
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr) -> SecretStr:
        given = value.get_secret_value()
        try:
            parts = urlsplit(given)
            fine = parts.scheme in {"smtp", "smtps"} and parts.hostname and parts.port != 0
        except ValueError:
            fine = False
        if given and not fine:
            raise ValueError("write smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465")
        return value

    @field_validator("alert_email", "alert_email_from")
    @classmethod
    def _mail_addresses(cls, value: str) -> str:
        for one in (part.strip() for part in value.split(",")):
            name, sign, host = one.partition("@")
            if value and not (name and sign and host and one.isprintable() and not set(one) & set(" <>\"'()")):
                raise ValueError("write addresses such as me@example.org, separated by commas")
        return value

    @property
    def alert_addresses(self) -> tuple[str, ...]:
        """To whom alerts go by e-mail."""
        return tuple(part.strip() for part in self.alert_email.split(",") if part.strip())

    def unready(self) -> list[str]:
        """What keeps these settings from working together, in one sentence each."""
        found = []
        if bool(self.alert_email) != bool(self.smtp_url.get_secret_value()):
            found.append("ALERT_EMAIL and SMTP_URL: alerts by e-mail need both; set the other one, too.")
        if self.sentry_dsn.get_secret_value() and not importlib.util.find_spec("sentry_sdk"):
            found.append(f"SENTRY_DSN: faults are reported by sentry-sdk, {_INSTALL}")
        if self.otel_exporter_otlp_endpoint and not importlib.util.find_spec("opentelemetry"):
            found.append(f"OTEL_EXPORTER_OTLP_ENDPOINT: traces are sent by the OpenTelemetry SDK, {_INSTALL}")
        return found


def _web_address(value: str) -> None:
    try:
        fine = urlsplit(value).scheme in {"http", "https"} and urlsplit(value).hostname
    except ValueError:
        fine = None
    if value and not fine:
        raise ValueError("write a web address that begins with http:// or https://")
