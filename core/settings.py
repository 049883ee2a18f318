"""Settings from the environment and `.env`, checked as a whole before anything starts."""

import secrets
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from core import catalogue, db, edge, errors, keyfile, log, watching

Role = Literal["scheduler", "bot", "webhooks"]
ROLES: tuple[Role, ...] = ("scheduler", "bot", "webhooks")
PLATFORMS = ("telegram", "discord")
SHORTEST = 24
"""Characters that the secret of an intake has at least; it cannot be guessed then, whoever tries."""


class Settings(watching.Watching, edge.Edge):
    """One attribute for each environment variable, in lower case; see `.env.example` for what they mean."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore", frozen=True, env_ignore_empty=True)

    database_url: str = "sqlite+aiosqlite:///signalstack.db"
    redis_url: SecretStr = SecretStr("")
    public_url: str = "http://localhost:8080"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    secret_key: SecretStr = SecretStr("")
    telegram_bot_token: SecretStr = SecretStr("")
    telegram_api_url: str = "https://api.telegram.org"
    telegram_mode: Literal["polling", "webhook"] = "polling"
    telegram_rate: int = Field(default=29, ge=1, le=1000)
    discord_bot_token: SecretStr = SecretStr("")
    discord_api_url: str = "https://discord.com/api"
    discord_rate: int = Field(default=40, ge=1, le=50)
    discord_dms_per_hour: int = Field(default=200, ge=1, le=10_000)
    stripe_api_key: SecretStr = SecretStr("")
    stripe_webhook_secret: SecretStr = SecretStr("")
    stripe_price_id: str = Field(default="", max_length=100)
    stripe_api_url: str = "https://api.stripe.com"
    ccxt_exchange: str = "binance"
    ccxt_trading_pairs: str = "BTC/USDT,ETH/USDT"
    ccxt_timeframes: str = "1h"
    exchange_api_url: str = ""
    signalstack_config: str = ""
    intake_secrets: SecretStr = SecretStr("")
    admins: str = ""
    grace_days: int = Field(default=3, ge=0, le=60)
    scan_seconds: float = Field(default=5.0, ge=0.1, le=60)
    lease_seconds: float = Field(default=30.0, ge=1, le=600)
    delivery_window: int = Field(default=10, ge=1, le=200)
    hooks_anywhere: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["", "console", "json"] = ""

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_url", "telegram_api_url", "discord_api_url", "stripe_api_url", "exchange_api_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("write a web address that begins with http:// or https://")
        return value.rstrip("/")

    @property
    def telegram(self) -> bool:
        """Whether the Telegram platform is on."""
        return bool(self.telegram_bot_token.get_secret_value())

    @property
    def discord(self) -> bool:
        """Whether the Discord platform is on."""
        return bool(self.discord_bot_token.get_secret_value())

    @property
    def stripe(self) -> bool:
        """Whether payments by Stripe are on."""
        return bool(self.stripe_api_key.get_secret_value())

    def selling(self, book: catalogue.Catalogue) -> bool:
        """Whether members can pay for something of this catalogue."""
        by_card, by_stars = (any(getattr(plan, ids) for plan in book.plans) for ids in ("named_ids", "stars_id"))
        return (self.stripe and by_card) or (self.stars and by_stars)

    @property
    def stars(self) -> bool:
        """Whether payments in Telegram Stars can be on; they are where a plan has a price in Stars."""
        return self.telegram

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Every Stripe webhook secret that is valid now, without blanks."""
        parts = self.stripe_webhook_secret.get_secret_value().split(",")
        return tuple(part.strip() for part in parts if part.strip())

    @property
    def intake_keys(self) -> dict[str, str]:
        """The secret of each intake by the intake's key; what is not written as KEY=SECRET is left out."""
        parts = (part.strip().partition("=") for part in self.intake_secrets.get_secret_value().split(","))
        return {key.strip(): secret.strip() for key, sign, secret in parts if sign}

    @property
    def admin_ids(self) -> frozenset[tuple[str, str]]:
        """The operators as (platform, numeric id) pairs."""
        pairs = (part.strip().partition(":") for part in self.admins.split(",") if part.strip())
        return frozenset((platform.lower(), number) for platform, _, number in pairs)

    @property
    def admin_chats(self) -> list[tuple[str, str]]:
        """The operators' private chats as (platform, address) pairs."""
        return sorted((name, f"@{number}" if name == "discord" else number) for name, number in self.admin_ids)


def load(env_file: Path | None = Path(".env"), *, billing: bool = True) -> tuple[Settings, catalogue.Catalogue]:
    """The settings and the catalogue; raises one ConfigError that lists every fault of both.

    `billing` False: what `signalstack stripe setup` is about to create may still be missing.
    """
    settings, faults = _settings(env_file)
    book = catalogue.Catalogue()
    for check in (lambda: db.normalised(settings.database_url), lambda: _secret(settings)):
        try:
            check()
        except errors.ConfigError as error:
            faults += error.faults
    try:
        book = _catalogue(settings)
        faults += [*book.faults(), *_unready_intakes(settings, book)]
    except errors.ConfigError as error:
        faults += error.faults
    faults += [*_contradictions(settings), *settings.unready()]
    if billing:
        faults += _unready_billing(settings, book)
    if faults:
        raise errors.ConfigError(*dict.fromkeys(" ".join(fault.split()) for fault in faults))
    settings = settings.model_copy(update={"secret_key": SecretStr(_secret(settings))})
    _keep_out_of_logs(settings)
    return settings, book


def book(env_file: Path | None = Path(".env")) -> catalogue.Catalogue:
    """The catalogue alone, for what needs no database and no accounts; raises ConfigError with every fault of it."""
    settings, faults = _settings(env_file)
    found = _catalogue(settings)
    if faults := [*faults, *found.faults()]:
        raise errors.ConfigError(*dict.fromkeys(faults))
    return found


def _settings(env_file: Path | None) -> tuple[Settings, list[str]]:
    """The settings, with the default for each one that is faulty, and a sentence for each of these."""
    try:
        return Settings(_env_file=env_file), []
    except ValidationError as error:
        names = {str(fault["loc"][0]) for fault in error.errors()}
        usable: dict[str, Any] = {name: Settings.model_fields[name].default for name in names}
        return Settings(_env_file=env_file, **usable), [_sentence(dict(fault)) for fault in error.errors()]
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"The file {env_file} is no readable text ({type(error).__name__}).") from None


def _sentence(fault: dict[str, Any]) -> str:
    name = str(fault["loc"][0]).upper()
    message = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    hidden = Settings.model_fields[name.lower()].annotation is SecretStr
    shown = "" if hidden else f" (it is {repr(fault['input'])[:80]})"
    return f"{name}: {message}{shown}."


def _contradictions(settings: Settings) -> list[str]:
    found = []
    for platform, number in settings.admin_ids:
        if platform not in {"telegram", "discord"} or not number.isdigit():
            found.append("ADMINS: write telegram:ID or discord:ID with numeric ids, separated by commas.")
    token = settings.telegram_bot_token.get_secret_value()
    if token and not (token.partition(":")[0].isdigit() and len(token.partition(":")[2]) >= 10):
        found.append("TELEGRAM_BOT_TOKEN does not look like a bot token (digits, a colon, letters); ask @BotFather.")
    token = settings.discord_bot_token.get_secret_value()
    if token and not (len(token.split(".")) == 3 and all(token.split("."))):
        found.append(
            "DISCORD_BOT_TOKEN does not look like a bot token (three parts with dots between them); copy it from the "
            "Bot page of your application in Discord's Developer Portal."
        )
    return sorted(set(found))


def _unready_billing(settings: Settings, book: catalogue.Catalogue) -> list[str]:
    found = []
    if settings.stripe and not settings.webhook_secrets:
        found.append("STRIPE_WEBHOOK_SECRET is missing: without it nobody could tell Stripe's events from forged ones.")
    if settings.stripe and not any(plan.named_ids for plan in book.plans):
        found.append("STRIPE_PRICE_ID is missing: name one price, or give plans a price_id in signalstack.toml.")
    if not settings.stars and any(plan.stars is not None for plan in book.plans):
        found.append(
            "TELEGRAM_BOT_TOKEN is missing: a plan has a price in Telegram Stars, which the Telegram bot takes; "
            "set it, or remove `stars` from the plans."
        )
    return found


def _unready_intakes(settings: Settings, book: catalogue.Catalogue) -> list[str]:
    """What keeps the catalogue's intakes and their secrets apart; no name of unknown ones, a secret may stand there."""
    keys, known = settings.intake_keys, [intake.key for intake in book.intakes]
    parts = [part for part in settings.intake_secrets.get_secret_value().split(",") if part.strip()]
    found = []
    if len(keys) < len(parts):
        found.append("INTAKE_SECRETS: write KEY=SECRET for each intake, separated by commas, each key once.")
    if keys.keys() - set(known):
        found.append(
            "INTAKE_SECRETS has a secret for an intake that the catalogue does not have; remove it, or add it to the "
            f"[[intakes]] (now: {', '.join(known) or 'none'})."
        )
    found += [
        f"INTAKE_SECRETS has no secret for the intake '{key}': add {key}=SECRET with at least {SHORTEST} characters."
        for key in known
        if len(keys.get(key, "")) < SHORTEST
    ]
    return found


def _catalogue(settings: Settings) -> catalogue.Catalogue:
    path = Path(settings.signalstack_config or "signalstack.toml")
    book = catalogue.read(path) if settings.signalstack_config or path.exists() else catalogue.Catalogue()
    if not book.watches:
        book = book.model_copy(update={"watches": _watches(settings)})
    if not book.plans:
        plan = catalogue.Plan(key="signals", name="Signals", price_id=settings.stripe_price_id)
        book = book.model_copy(update={"plans": (plan,)})
    return book


def _watches(settings: Settings) -> tuple[catalogue.Watch, ...]:
    pairs = [pair.strip().upper() for pair in settings.ccxt_trading_pairs.split(",") if pair.strip()]
    frames = [frame.strip() for frame in settings.ccxt_timeframes.split(",") if frame.strip()]
    if not pairs or not frames:
        raise errors.ConfigError("CCXT_TRADING_PAIRS and CCXT_TIMEFRAMES must name at least one pair and timeframe.")
    try:
        return tuple(
            catalogue.Watch(exchange=settings.ccxt_exchange, symbol=pair, timeframe=frame)
            for pair in pairs
            for frame in frames
        )
    except ValidationError as error:
        names = {
            "exchange": "CCXT_EXCHANGE: write the exchange's id as ccxt spells it, such as binance or kraken",
            "symbol": "CCXT_TRADING_PAIRS: write pairs such as BTC/USDT, separated by commas",
            "timeframe": "CCXT_TIMEFRAMES: write timeframes such as 5m, 1h or 4h, separated by commas",
        }
        raise errors.ConfigError(
            *(f"{names[str(fault['loc'][0])]} (not {fault['input']!r})." for fault in error.errors())
        ) from None


def _secret(settings: Settings) -> str:
    """SECRET_KEY, or for SQLite one that was made at the first start and lies beside the database."""
    given = settings.secret_key.get_secret_value()
    if given:
        if len(given) < 16:
            raise errors.ConfigError("SECRET_KEY is too short; use at least 16 random characters.")
        return given
    url = db.normalised(settings.database_url)
    if url.get_backend_name() != "sqlite":
        raise errors.ConfigError("SECRET_KEY is missing: every process needs the same one to sign links.")
    if not url.database or url.database == ":memory:":
        return secrets.token_urlsafe(32)
    return keyfile.kept(Path(url.database))


def _keep_out_of_logs(settings: Settings) -> None:
    for value in dict(settings).values():
        if isinstance(value, SecretStr):
            whole = value.get_secret_value()
            log.keep_out(whole, *(part.strip() for part in whole.split(",")))
    log.keep_out(*settings.intake_keys.values())
    password = db.normalised(settings.database_url).password
    if password:
        log.keep_out(str(password))
