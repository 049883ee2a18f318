"""Settings of what stands before the site: whose word on a caller's address is believed, and who sees the figures."""

import ipaddress
from collections.abc import Iterator

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SHORTEST = 16


class Edge(BaseSettings):
    """The part of the settings about the way to the site."""

    trusted_proxies: str = Field(default="", max_length=2000)
    metrics_token: SecretStr = SecretStr("")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            list(_parsed(value))
        except ValueError:
            raise ValueError("write addresses or networks such as 10.0.0.5 or 172.18.0.0/16, with commas") from None
        return value

    @field_validator("metrics_token")
    @classmethod
    def _long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < _SHORTEST:
            raise ValueError(f"use at least {_SHORTEST} random characters, or none")
        return value

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of the proxies whose X-Forwarded-For and X-Request-Id are believed."""
        return tuple(_parsed(self.trusted_proxies))


def _parsed(said: str) -> Iterator[Network]:
    for one in (part.strip() for part in said.split(",")):
        if one:
            network = ipaddress.ip_network(one, strict=False)
            if not network.prefixlen:
                raise ValueError("everybody")
            yield network
