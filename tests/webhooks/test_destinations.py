"""No hook reaches a network that is not public: by number, by name, by a name that changes, or by a redirect."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from webhooks import destinations

HIDDEN = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "172.16.0.1", "192.0.0.8"),
    *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::"),
    *("3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1"),
]
OPEN = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"]


@pytest.mark.parametrize("address", HIDDEN)
def test_addresses_that_nobody_outside_may_name(address: str) -> None:
    assert not destinations.public(address)


@pytest.mark.parametrize("address", OPEN)
def test_addresses_of_the_public_internet(address: str) -> None:
    assert destinations.public(address)


@given(st.ip_addresses())
def test_nothing_private_is_ever_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    hidden = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if hidden or address.is_reserved or address.is_unspecified:
        assert not destinations.public(str(address))


@given(st.ip_addresses(v=4))
def test_no_address_is_hidden_in_another(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix, shift in ((0xFFFF << 32, 0), (0, 0), (0x64FF9B << 96, 0), (0x2002 << 112, 80)):
        assert not destinations.public(str(ipaddress.IPv6Address(prefix | number << shift)))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://tools.example.com/", "begins with https"),
        ("ftp://tools.example.com/", "begins with https"),
        ("//tools.example.com/", "begins with https"),
        ("https:///path", "begins with https|not a web address"),
        ("https://user:pass@tools.example.com/", "name and password"),
        ("https://user@tools.example.com/", "name and password"),
        ("https://tools.example.com/#part", "after the #|follows the #"),
        ("https://tools.example.com:22/", "port 443 or 8443"),
        ("https://tools.example.com:99999/", "not a web address|port"),
        ("https://localhost/", "public internet"),
        ("https://intranet/", "public internet"),
        ("https://printer.local/", "public internet"),
        ("https://db.internal./", "public internet"),
        ("https://127.0.0.1/", "public internet"),
        ("https://127.1/", "public internet"),
        ("https://2130706433/", "public internet"),
        ("https://[::1]/", "public internet"),
        ("https://[::ffff:10.0.0.1]/", "public internet"),
        ("https://tools.example.com/a b", "plain characters"),
        ("https://tools.example.com\\@10.0.0.1/", "plain characters"),
        ("https://tools.example.com/" + "x" * 400, "plain characters"),
        ("https://tööls.example.com/", "plain characters"),
    ],
)
def test_an_address_that_no_hook_may_have_is_refused_in_a_sentence(url: str, told: str) -> None:
    with pytest.raises(errors.RefusedError, match=told):
        destinations.checked(url)


@pytest.mark.parametrize("url", ["https://tools.example.com/in?a=1", "https://8.8.8.8:8443/", "https://a.b-c.co./x"])
def test_an_address_that_will_do(url: str) -> None:
    assert destinations.checked(url).host


@pytest.fixture
def trap() -> Iterator[tuple[int, list[Any]]]:
    """A port on this machine that nobody may reach, and who did."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        reached: list[Any] = []
        yield listening.getsockname()[1], reached
        with contextlib.suppress(BlockingIOError):
            reached.append(listening.accept())
        assert reached == []


def names(*answers: str) -> destinations.Lookup:
    """A name server whose answer is another each time."""
    left = list(answers)

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    return lookup


async def post(url: str, lookup: destinations.Lookup) -> None:
    async with aiohttp.ClientSession(connector=destinations.connector(lookup=lookup)) as http, asyncio.timeout(5):
        await http.post(url, ssl=False, allow_redirects=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_a_name_that_leads_inside_is_not_connected_to(trap: tuple[int, list[Any]], address: str) -> None:
    with pytest.raises((OSError, aiohttp.ClientError)) as failed:
        await post(f"https://rebind.example.com:{trap[0]}/", names(address))
    assert any(isinstance(one, destinations.NotPublicError) for one in (failed.value, failed.value.__cause__))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::1]"])
async def test_a_number_that_needs_no_name_server_is_not_connected_to(trap: tuple[int, list[Any]], host: str) -> None:
    with pytest.raises((OSError, aiohttp.ClientError)):
        await post(f"https://{host}:{trap[0]}/", names("8.8.8.8"))


async def test_a_name_that_changes_between_two_looks_is_judged_at_each(trap: tuple[int, list[Any]]) -> None:
    """What is connected to is what was checked: the answer is asked for once for each connection, and never kept."""
    lookup = names("8.8.8.8", "127.0.0.1")
    resolver = destinations.Resolver(lookup=lookup)
    assert [one["host"] for one in await resolver.resolve("rebind.example.com", trap[0])] == ["8.8.8.8"]
    with pytest.raises(destinations.NotPublicError):
        await resolver.resolve("rebind.example.com", trap[0])
    await resolver.close()
    with pytest.raises((OSError, aiohttp.ClientError)):
        await post(f"https://rebind.example.com:{trap[0]}/", lookup)


async def test_one_bad_address_among_good_ones_spoils_the_name() -> None:
    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        return [*names("8.8.8.8")(host, port), *names("10.0.0.1")(host, port)]

    with pytest.raises(destinations.NotPublicError):
        await destinations.Resolver(lookup=lookup).resolve("mixed.example.com", 443)


def test_a_socket_for_an_address_inside_is_never_made() -> None:
    for address in ("127.0.0.1", "169.254.169.254", "127.1"):
        with pytest.raises(destinations.NotPublicError):
            destinations._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))
    destinations._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))).close()
