"""The mind: what SignalStack knows and decides. It imports neither `bot` nor `webhooks`."""
