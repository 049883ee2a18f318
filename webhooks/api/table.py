"""Every endpoint of the members' API."""

from collections.abc import Sequence

from webhooks.api import backtests, frame

ENDPOINTS: Sequence[frame.Endpoint] = (*backtests.ENDPOINTS,)
