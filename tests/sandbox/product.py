"""The unmodified product as a process of its own, with nothing of this machine's settings in its environment."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self

import aiohttp

from core import settings

ROOT = Path(__file__).parents[2]
READY_WITHIN = 45.0
ENDS_WITHIN = 15.0
_SHOWN = 12


class ProductError(Exception):
    """The product did not start or has ended; the text ends with the last lines of its log."""


class Product:
    """One run after another of `signalstack run` on the same database and port.

    `folder` holds its database and its log; `env` are its settings by the names of the contract.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], *roles: str, port: int = 0) -> None:
        self.folder, self.roles = folder, roles
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {name.upper() for name in settings.Settings.model_fields}
        # Without compiled files each start would compile everything again.
        own.add("PYTHONDONTWRITEBYTECODE")
        plain = {name: value for name, value in os.environ.items() if name.upper() not in own}
        self.env = {
            **plain,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": f"sqlite:///{folder / 'signalstack.db'}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "LOG_FORMAT": "json",
            **env,
        }
        self.log = folder / "product.log"
        self._process: asyncio.subprocess.Process | None = None
        self._file: BinaryIO | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id; raises ProductError when nothing runs."""
        if self._process is None or not self.running:
            raise ProductError("The product is not running.")
        return self._process.pid

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # Ctrl-C while it starts leaves nothing running either
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *, ready: bool = True) -> None:
        """The product runs and, with `ready`, says that it can be used. Raises ProductError otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self.log.open("ab")
        # In the demo's folder, so that no `.env` and no signalstack.toml of the operator is read.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "run", *self.roles),
            cwd=self.folder,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._file,
            stderr=self._file,
            start_new_session=True,  # Ctrl-C at the terminal is for the sandbox, which then stops the product
        )
        if ready:
            await self._answers()

    async def _answers(self) -> None:
        until = time.monotonic() + READY_WITHIN
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2), trust_env=False) as http:
            while time.monotonic() < until:
                self.check()
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        await self.stop()
        raise ProductError(f"The product was not ready within {READY_WITHIN:.0f} s.\n{self.last_words()}")

    def check(self) -> None:
        """Raises ProductError with its last words when the product has ended by itself."""
        code = self._process.returncode if self._process else None
        if code is not None:
            raise ProductError(f"The product has ended with exit code {code}.\n{self.last_words()}")

    async def ended(self) -> int:
        """The exit code, once the product has ended by itself or was ended by others."""
        return await self._process.wait() if self._process else 0

    async def command(self, *words: str) -> str:
        """What this command of the product says, with the same settings; raises ProductError when it fails."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *words),
            cwd=self.folder,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        if process.returncode:
            raise ProductError(f"signalstack {' '.join(words)} ended with {process.returncode}:\n{said}")
        return said

    async def stop(self) -> int:
        """The product has ended in good order (SIGTERM), or by force after a while; its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """The product is gone without a goodbye (SIGKILL)."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Another run goes on where this one ended."""
        await self.stop()
        await self.start()

    async def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), ENDS_WITHIN)
        except TimeoutError:
            process.kill()
        code = await process.wait()
        if self._file:
            self._file.close()
            self._file = None
        return code

    def last_words(self, lines: int = _SHOWN) -> str:
        """The last lines of its log as a person reads them."""
        with suppress(OSError):
            rows = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            return "\n".join(["The last lines of its log:", *(f"  {readable(row)}" for row in rows)])
        return "It wrote no log."


def readable(line: str) -> str:
    """A JSON log line as `12:30:05 warning scan_failed market=BTC/USDT …`; other lines as they are."""
    try:
        row = json.loads(line)
        at, level, event = row.pop("timestamp")[11:19], row.pop("level"), row.pop("event")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    trace = str(row.pop("exception", "")).splitlines()
    told = " ".join(f"{name}={value}" for name, value in row.items())
    return "\n    ".join([f"{at} {level} {event} {told}".rstrip(), *trace])


def free_port(*preferred: int) -> int:
    """The first of these ports that is free on 127.0.0.1, else any that is."""
    for port in (*preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found: int = probe.getsockname()[1]
                return found
    raise OSError("no port is free")
