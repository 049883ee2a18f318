"""Pictures that were uploaded to the Telegram stand-in."""

import base64
import hashlib
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError

from tests.sandbox import telegram_call

LARGEST = 10 * 1024 * 1024
THUMBNAIL = 90


@dataclass(frozen=True, slots=True)
class Photo:
    file_id: str
    unique_id: str
    path: str
    content: bytes
    width: int
    height: int

    def sizes(self) -> list[dict[str, Any]]:
        """The Bot API's PhotoSize list, smallest first. A thumbnail's content is the whole picture."""
        scale = THUMBNAIL / max(self.width, self.height)
        whole = {"width": self.width, "height": self.height, "file_size": len(self.content)}
        if scale >= 1:
            return [self._size(whole)]
        small = {"width": max(1, round(self.width * scale)), "height": max(1, round(self.height * scale))}
        return [self._size({**small, "file_size": 1024}, "s"), self._size(whole)]

    def _size(self, figures: dict[str, int], suffix: str = "") -> dict[str, Any]:
        return {"file_id": self.file_id + suffix, "file_unique_id": self.unique_id + suffix, **figures}


class Photos:
    """Every picture by its file_id and by its download path."""

    def __init__(self) -> None:
        self._by_id: dict[str, Photo] = {}
        self._by_path: dict[str, Photo] = {}

    def upload(self, content: bytes) -> Photo:
        """The picture is kept under a new file_id. Refused with 400 when Telegram would not take it as a photo."""
        if not content:
            raise telegram_call.bad("file must be non-empty")
        if len(content) > LARGEST:
            size = f"file of size {len(content)} bytes is too big for a photo"
            raise telegram_call.bad(f"{size}; the maximum size is {LARGEST} bytes")
        width, height = _dimensions(content)
        digest = hashlib.sha256(content + len(self._by_path).to_bytes(8, "big")).digest()
        name = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        unique = "AQAD" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:9]).decode()
        path = f"photos/file_{len(self._by_path)}.jpg"
        photo = Photo("AgACAgIAAxkBAAI" + name, unique, path, content, width, height)
        self._by_id[photo.file_id] = self._by_id[photo.file_id + "s"] = self._by_path[path] = photo
        return photo

    def known(self, file_id: str) -> Photo:
        """The picture with this file_id, of any size. Refused with 400 when there is none."""
        if file_id.startswith(("http://", "https://")):  # the stand-in reaches no other machine
            raise telegram_call.bad("failed to get HTTP URL content")
        if file_id not in self._by_id:
            raise telegram_call.bad("wrong file identifier/HTTP URL specified")
        return self._by_id[file_id]

    def at(self, path: str) -> bytes | None:
        """The content to download from this path."""
        return self._by_path[path].content if path in self._by_path else None


def _dimensions(content: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, ValueError):
        raise telegram_call.bad("IMAGE_PROCESS_FAILED") from None
    if width + height > 10_000 or max(width, height) > 20 * min(width, height):
        raise telegram_call.bad("PHOTO_INVALID_DIMENSIONS")
    return width, height
