"""Every endpoint of the members' API."""

from collections.abc import Sequence

from webhooks.api import account, backtests, events, frame, hooks, market, results, signals

ENDPOINTS: Sequence[frame.Endpoint] = (
    *signals.ENDPOINTS,
    *events.ENDPOINTS,
    *results.ENDPOINTS,
    *market.ENDPOINTS,
    *backtests.ENDPOINTS,
    *account.ENDPOINTS,
    *hooks.ENDPOINTS,
)
