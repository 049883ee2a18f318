"""Where a request comes from: the socket's address, or what a trusted proxy says of whoever stands behind it.

Without TRUSTED_PROXIES only the socket's address counts: whoever writes X-Forwarded-For could be anybody.
"""

import functools
import ipaddress
from collections.abc import Iterable, Sequence

from aiohttp import web

from core import edge

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SAID = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP", "True-Client-IP")
_HOPS = 10  # proxies in a row; nobody has more, and whoever says so is not believed
_V6_HOME = 64  # one household has at least so much of IPv6, so it counts as one caller


@functools.lru_cache(maxsize=4096)
def parsed(said: str | None) -> Address | None:
    """The address in this text, an IPv4 one also where it is written as IPv6; None when there is none."""
    text = (said or "").strip().strip('"')[:64]
    host, sign, port = text.rpartition(":")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif sign and port.isdigit() and host.count(".") == 3 and ":" not in host:
        text = host
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def among(address: Address | None, networks: Iterable[edge.Network]) -> bool:
    """Whether the address is in one of the networks."""
    return address is not None and any(address in network for network in networks)


def caller(request: web.Request, trusted: Sequence[edge.Network]) -> Address | None:
    """Who asks: the last address in the chain that is not one of our proxies; None where the socket has none."""
    address = parsed(request.remote)
    if not among(address, trusted):
        return address
    chain = ",".join(request.headers.getall("X-Forwarded-For", ())).rsplit(",", _HOPS)
    for said in reversed(chain[-_HOPS:]):
        further = parsed(said)
        if further is None:
            break
        address = further
        if not among(further, trusted):
            break
    return address


def counted(address: Address | None) -> str:
    """The name under which a caller's requests are counted: the address, of IPv6 the network of one household."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _V6_HOME), strict=False))
    return str(address) if address else "unknown"


def is_near(request: web.Request, trusted: Sequence[edge.Network], public_host: str) -> bool:
    """Whether somebody on this machine or in its private network asks, and surely nobody through a proxy.

    A proxy that is not trusted may speak for the whole world, so what it hands on is never near; nor is what came
    under the public name.
    """
    address = caller(request, trusted)
    if address is None or not (address.is_loopback or address.is_private):
        return False
    through = not among(parsed(request.remote), trusted) and any(name in request.headers for name in _SAID)
    named = request.host.rpartition(":")[0] or request.host
    return not through and (named != public_host or named in {"localhost", "127.0.0.1"})
