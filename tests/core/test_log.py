"""Logs: whatever goes in, no secret comes out, and every line can be read by people or by machines."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core import log

SHAPED = {
    "telegram": "7123456789:AAH-canary_canary_canary_canary_ca",
    "stripe": "sk_live_canary51HxCanaryCanary",
    "restricted": "rk_test_canary51HxCanaryCanary",
    "webhook": "whsec_canaryCanaryCanary",
    "discord": "MTAxMjM0NTY3ODkwMTIzNDU2.GcAnRy.canary_canary-canary_canary_canary_ca",
}
KNOWN = "canary without any shape"
URLS = ["postgresql://signals:canary@db/x", "redis://:canary@cache:6379/0", "https://user:p@canary@host/path"]
FORMATS = ["json", "console"]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging is afterwards as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log._QUIET}
    monkeypatch.setattr(log, "_known", set())
    log.keep_out(KNOWN, "", "short")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def opened(style: str, level: str = "debug") -> io.StringIO:
    """Where the lines go."""
    stream = io.StringIO()
    log.setup(level, style, stream=stream)
    return stream


@dataclass
class Holder:
    token: str


def _everywhere(secret: str) -> None:
    """The secret is said in every way that code says things to a log."""
    ours, theirs = structlog.get_logger(), logging.getLogger("somebody.else")
    ours.info(f"said {secret}", token=secret, nested={"a": [{"b": (secret, 1)}], secret: "as a key"})
    ours.bind(chat=secret).warning("bound", held=Holder(secret), raw=secret.encode(), many={secret})
    ours.info("positional %s", secret)
    with structlog.contextvars.bound_contextvars(request=f"/bot{secret}/sendMessage"):
        ours.debug("in a context")
    theirs.debug("POST https://api.example/bot%s/getMe", secret)
    theirs.warning({"token": secret})
    theirs.info("extra", extra={"token": secret}, stack_info=True)
    try:
        _fail(secret)
    except RuntimeError as error:
        ours.exception("failed", error=error)
        ours.error("failed", exc_info=error)
        theirs.exception("failed with %s", secret)
        theirs.error("failed", exc_info=error)


def _fail(secret: str) -> None:
    try:
        int(f"bad key {secret}")
    except ValueError as error:
        raise RuntimeError(f"no answer to {secret!r}") from error


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("secret", [*SHAPED.values(), KNOWN], ids=[*SHAPED, "known"])
def test_x01_a_secret_is_nowhere_in_the_logs_at_debug(style: str, secret: str) -> None:
    stream = opened(style)
    _everywhere(secret)
    text = stream.getvalue()
    assert len(text.splitlines()) > 10
    assert "canary" not in text.lower()
    assert log.MASK in text
    assert "RuntimeError" in text


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("url", URLS)
def test_x01_a_password_in_an_address_is_masked(style: str, url: str) -> None:
    stream = opened(style)
    _everywhere(url)
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize("style", FORMATS)
async def test_x01_chatty_libraries_tell_no_addresses(style: str) -> None:
    """httpx logs every request with its whole URL, in which Telegram's token is."""
    stream = opened(style)
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get(f"https://api.telegram.org/bot{SHAPED['telegram']}/getMe")
        assert stream.getvalue() == ""
        for name in ("httpx", "telegram"):  # even when somebody turns them up
            logging.getLogger(name).setLevel(logging.DEBUG)
        await client.get(f"https://api.telegram.org/bot{SHAPED['telegram']}/getMe")
    logging.getLogger("telegram.ext.Updater").debug("Calling %s", f"/bot{SHAPED['telegram']}/getUpdates")
    text = stream.getvalue()
    assert "getMe" in text
    assert "getUpdates" in text
    assert "canary" not in text


def test_x01_a_secret_that_begins_with_another_one_leaves_no_rest() -> None:
    for number in range(30):
        log.keep_out(f"canary{number}", f"canary{number}-tail")
    assert "tail" not in log.redacted(" ".join(f"canary{number}-tail" for number in range(30)))


def test_what_is_no_secret_stays_readable() -> None:
    for text in ("BTC/USDT 1h at 12:30:00", "http://localhost:8080/checkout?plan=a", "a:b@c", "short", "M.N.O"):
        assert log.redacted(text) == text


@pytest.mark.parametrize("style", FORMATS)
def test_one_event_is_one_line_with_its_fields(style: str) -> None:
    stream = opened(style, "info")
    structlog.get_logger().info("signal_recorded", signal=7, entry=Decimal("1.10"), late=False, why=None, share=0.5)
    structlog.get_logger().debug("too quiet to be heard")
    logging.getLogger("asyncpg").info("hello")
    first, second = stream.getvalue().splitlines()
    assert "signal_recorded" in first
    assert "1.10" in first
    if style == "json":
        event = json.loads(first)
        assert event.pop("timestamp").endswith("Z")
        assert event == {
            "event": "signal_recorded",
            "level": "info",
            "signal": 7,
            "entry": "1.10",
            "late": False,
            "why": None,
            "share": 0.5,
        }
        assert json.loads(second)["event"] == "hello"
    else:
        assert "signal=7" in first
        assert "hello" in second


def test_a_terminal_gets_text_and_everything_else_json(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = opened("")
    structlog.get_logger().info("started")
    assert json.loads(stream.getvalue())["event"] == "started"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    log.setup("info")
    structlog.get_logger().info("started")
    assert "started" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_a_traceback_on_a_terminal_shows_no_local_variables(recwarn: pytest.WarningsRecorder) -> None:
    stream = opened("console")
    _everywhere("plain")
    assert "Traceback" in stream.getvalue()
    assert "locals" not in stream.getvalue()
    assert [str(warning.message) for warning in recwarn] == []


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.floats(), st.binary(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(value=VALUES, secret=st.sampled_from([*SHAPED.values(), KNOWN, *URLS]), text=st.text(max_size=20))
def test_x01_whatever_is_logged_the_line_is_json_without_a_secret(value: Any, secret: str, text: str) -> None:
    stream = opened("json")
    structlog.get_logger().info(f"{text} {secret}", value=value, secret=[value, {"in": f"{secret} {text}"}])
    logging.getLogger("somebody.else").warning("%s %s %s", text, secret, value)
    lines = stream.getvalue().split("\n")[:-1]
    assert len([json.loads(line) for line in lines]) == 2
    assert "canary" not in stream.getvalue()
