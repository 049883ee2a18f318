"""Errors named by what the reader must do about them."""


class SignalStackError(Exception):
    """Something went wrong that a person can understand: its text is one clear sentence."""


class ConfigError(SignalStackError):
    """The operator must change the configuration; `faults` has one sentence for each thing to change."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class UnreachableError(SignalStackError):
    """A service that is needed now does not answer; trying again later may help."""


class RefusedError(SignalStackError):
    """A person asked for something that cannot be done; the text says what to do instead."""


class LostLeaseError(SignalStackError):
    """Another process has taken over this work; nothing was written."""
