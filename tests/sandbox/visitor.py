"""A browser without a screen: it opens pages, reads their forms, and presses their buttons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp


class PageError(Exception):
    """The page is not what somebody would need to go on."""


class Page:
    """What came back: its address after redirections, its status, its words, its buttons, and its links by label."""

    def __init__(self, url: str, status: int, html: str) -> None:
        self.url, self.status = url, status
        reading = _Reading()
        reading.feed(html)
        self.text = " ".join(" ".join(reading.words).split())
        self.buttons, self.links = reading.buttons, reading.links


class Button:
    """A button that sends a form: where to, and with which fields."""

    def __init__(self, action: str, fields: dict[str, str]) -> None:
        self.action, self.fields, self.label = action, fields, ""


class Visitor:
    """One person's browser; its pages must be of this machine."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._http.close()

    async def look(self, url: str) -> Page:
        """The page at this address; PageError when it is not one of status 200."""
        async with self._asked("GET", url, {}) as page:
            return page

    async def press(self, page: Page, label: str, **typed: str) -> Page:
        """The page that follows when the button with this label is pressed, after `typed` was filled in."""
        button = next((button for button in page.buttons if button.label == label), None)
        if button is None:
            known = ", ".join(f"“{one.label}”" for one in page.buttons) or "none"
            raise PageError(f"The page {page.url} has no button “{label}” (it has {known}).")
        fields = {**button.fields, **typed}
        async with self._asked("POST", urljoin(page.url, button.action), fields) as found:
            return found

    @asynccontextmanager
    async def _asked(self, method: str, url: str, fields: dict[str, str]) -> AsyncIterator[Page]:
        async with self._http.request(method, url, data=fields or None) as answer:
            page = Page(str(answer.url), answer.status, await answer.text())
            if answer.status != 200:
                raise PageError(f"The page {url} answered {answer.status}: {page.text[:300]}")
            yield page


class _Reading(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.buttons: list[Button] = []
        self.links: dict[str, str] = {}
        self._link: tuple[str, str] | None = None
        self._form: tuple[str, dict[str, str]] | None = None
        self._pressed: Button | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"script", "style"}:
            self._silent += 1
        elif tag == "a" and "href" in given:
            self._link = ("", given["href"])
        elif tag == "form":
            self._form = (given.get("action", ""), {})
        elif tag == "input" and self._form and given.get("name") and given.get("type") != "checkbox":
            if given.get("type") != "radio" or "checked" in given:
                self._form[1][given["name"]] = given.get("value", "")
        elif tag == "button" and self._form:
            own = {given["name"]: given.get("value", "")} if given.get("name") else {}
            self._pressed = Button(self._form[0], {**self._form[1], **own})
            self.buttons.append(self._pressed)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._silent -= 1
        elif tag == "a" and self._link:
            self.links.setdefault(*self._link)
            self._link = None
        elif tag == "form":
            self._form = None
        elif tag == "button":
            self._pressed = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words.append(data)
        if self._link:
            self._link = (" ".join(f"{self._link[0]} {data}".split()), self._link[1])
        if self._pressed:
            self._pressed.label = " ".join(f"{self._pressed.label} {data}".split())
