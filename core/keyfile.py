"""The key that signs links where none was given: made once, and kept in a file beside the database."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from core import errors

_SHORTEST = 16


def kept(database: Path) -> str:
    """The key beside this database; the same for whoever asks, however many are the first. Raises ConfigError."""
    path = database
    try:
        path = database.with_suffix(".key")
        if not path.exists():
            write(path)
        found = path.read_text().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.ConfigError(f"The key file beside the database cannot be used: {path}: {reason}.") from None
    if len(found) < _SHORTEST:
        raise errors.ConfigError(f"The key file {path} is damaged; delete it, or set SECRET_KEY.")
    return found


def write(path: Path) -> None:
    """The file is there as a whole or not at all: half a key would sign links that anybody can forge."""
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(number, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        Path(draft).unlink()
