"""The shape of memory: every table, with the unique constraints that make each "once" true.

Use as `models.Delivery`: one name for each table, wherever it is defined.
"""

from core.models.base import Base
from core.models.billing import (
    Checkout,
    Customer,
    Errand,
    Gift,
    Invitation,
    Partner,
    PlanPrice,
    Subscription,
    Trial,
)
from core.models.ledgers import Delivery, Inbox, State, Upload
from core.models.market import Candle, Market
from core.models.members import ApiKey, Audit, Grant, Identity, LinkRequest, Member
from core.models.places import Place, PlacePlan, Presence, Round
from core.models.public import Hook, Incident, Uptime
from core.models.running import Alarm, Alert, Figure, Heartbeat, Identify, Lease, Switch
from core.models.signals import Backtest, RecordEntry, ScanMark, Signal, SignalEvent, SignalStatus

__all__ = [
    "Alarm",
    "Alert",
    "ApiKey",
    "Audit",
    "Backtest",
    "Base",
    "Candle",
    "Checkout",
    "Customer",
    "Delivery",
    "Errand",
    "Figure",
    "Gift",
    "Grant",
    "Heartbeat",
    "Hook",
    "Identify",
    "Identity",
    "Inbox",
    "Incident",
    "Invitation",
    "Lease",
    "LinkRequest",
    "Market",
    "Member",
    "Partner",
    "Place",
    "PlacePlan",
    "PlanPrice",
    "Presence",
    "RecordEntry",
    "Round",
    "ScanMark",
    "Signal",
    "SignalEvent",
    "SignalStatus",
    "State",
    "Subscription",
    "Switch",
    "Trial",
    "Upload",
    "Uptime",
]
