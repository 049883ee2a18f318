"""Every endpoint of the members' API."""

from collections.abc import Sequence

from webhooks.api import account, backtests, frame, market, results, signals

ENDPOINTS: Sequence[frame.Endpoint] = (
    *signals.ENDPOINTS,
    *results.ENDPOINTS,
    *market.ENDPOINTS,
    *backtests.ENDPOINTS,
    *account.ENDPOINTS,
)
