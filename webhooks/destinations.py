"""Where members' hooks may point to: addresses of the public internet, by https, checked again at every connection.

Somebody who may name an address that we call could have us call our own network. So what is written is checked, what a
name resolves to is checked, and what a socket is about to connect to is checked once more: there is no moment between
check and connection in which an answer could be exchanged for another (DNS rebinding). Nobody follows redirects.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import yarl
from aiohttp import abc

from core import errors, settings

PORTS = (443, 8443)
LONGEST = 400
_THREADS = 16
# What ipaddress takes for global, or did in older versions of Python, and what leads to somewhere else.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
Lookup = Callable[..., list[Any]]


class NotPublicError(OSError):
    """The address belongs to a network that nobody outside may have us call."""


def public(text: str) -> bool:
    """Whether this is an address of the public internet; what is no address is not."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        # All that embeds an IPv4 address (::ffff:0:0/96, 64:ff9b::/96) lies outside, or stands on the list (6to4).
        if address not in _GLOBAL_UNICAST:
            return False
    elif address.is_multicast or address.is_reserved:
        return False
    return address.is_global and not any(address in net for net in _NEVER if net.version == address.version)


def anywhere(conf: settings.Settings) -> bool:
    """Whether every address will do: only where HOOKS_ANYWHERE says so on a site that is not public itself."""
    return conf.hooks_anywhere and not conf.public_url.startswith("https://")


def checked(text: str, *, anywhere: bool = False) -> yarl.URL:
    """The address, if a hook may have it; raises RefusedError with what to write instead."""
    if len(text) > LONGEST or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise errors.RefusedError(f"url: write an address of at most {LONGEST} plain characters.")
    try:
        url = yarl.URL(text)
        port = url.port
    except ValueError:
        raise errors.RefusedError("url: this is not a web address; write https://host/path.") from None
    if url.scheme not in ({"https", "http"} if anywhere else {"https"}) or not url.host:
        raise errors.RefusedError("url: write an address that begins with https://.")
    if url.user is not None or url.password is not None:
        raise errors.RefusedError("url: leave name and password out; the signature says who calls.")
    if url.fragment:
        raise errors.RefusedError("url: leave out what follows the #; it is never sent.")
    if anywhere:
        return url
    if port not in PORTS:
        raise errors.RefusedError(f"url: use port {' or '.join(map(str, PORTS))}.")
    _check_host(url.host)
    return url


def _check_host(host: str) -> None:
    # What aiohttp takes for a number it never resolves; "127.1" and "2130706433" are such numbers.
    number = ":" in host or host.replace(".", "").isdigit()
    if number and not public(host):
        raise errors.RefusedError("url: this address is not on the public internet; name a host that is.")
    last = host.rstrip(".").rpartition(".")[2]
    if not number and ("." not in host.rstrip(".") or last in {"localhost", "local", "internal", "arpa"}):
        raise errors.RefusedError("url: this host is not on the public internet; name one that is.")


class Resolver(abc.AbstractResolver):
    """Looks names up in threads of its own, so that a slow name server holds up nobody else; public addresses only."""

    def __init__(self, *, anywhere: bool = False, lookup: Lookup = socket.getaddrinfo) -> None:
        self._anywhere, self._lookup = anywhere, lookup
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hooks-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[abc.ResolveResult]:
        """The addresses of this name; raises NotPublicError when one of them is not public."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: self._lookup(host, port, family=family, type=socket.SOCK_STREAM)
        )
        addresses = [(kind, proto, str(address[0])) for kind, _, proto, _, address in found]
        if not self._anywhere and not all(public(address) for *_, address in addresses):
            raise NotPublicError(f"{host} leads to an address that is not public")
        return [
            abc.ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, proto, address in addresses
        ]

    async def close(self) -> None:
        """No further look-ups begin."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def connector(*, anywhere: bool = False, lookup: Lookup = socket.getaddrinfo) -> aiohttp.TCPConnector:
    """Connections that are made anew for every message, to addresses that were checked at that very moment."""
    return aiohttp.TCPConnector(
        resolver=Resolver(anywhere=anywhere, lookup=lookup),
        use_dns_cache=False,
        force_close=True,
        limit=0,
        socket_factory=None if anywhere else _socket,
    )


def _socket(info: Any) -> socket.socket:
    """A socket for exactly this address, the last thing that happens before the connection."""
    family, kind, proto, _, address = info
    if not public(str(address[0])):
        raise NotPublicError("the address is not public")
    made = socket.socket(family, kind, proto)
    made.setblocking(False)
    return made
