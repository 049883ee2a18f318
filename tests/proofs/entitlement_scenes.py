"""What histories of the proof of entitlement begin from: members who have lived a while, each scene made once."""

from collections.abc import Callable

from tests.proofs import entitlement_stage as staging
from tests.sandbox.stripe_wire import Obj

DAY = 86_400


def prepared(stage: staging.Stage, name: str) -> staging.Scene:
    """The scene of this name; it is played once for each stage, with every event told at once."""
    if name not in stage.scenes:
        if "nobody" not in stage.scenes:
            for who in ("Anna", "Ben"):
                stage.do(stage.arrive(who))
            stage.scenes["nobody"] = stage.scene()
        stage.begin_from(stage.scenes["nobody"])
        told: list[Obj] = []
        stage.stripe.account.emitted = lambda event: told.append(event) if staging.wanted(event) else None
        SCENES[name](stage)
        stage.do(_heard(stage, told))
        stage.scenes[name] = stage.scene()
    return stage.scenes[name]


async def _heard(stage: staging.Stage, told: list[Obj]) -> None:
    await stage.deliver(told, staging.VERSIONS[-1])
    await stage.work()
    await stage.compares()


def _buys(stage: staging.Stage, name: str, price: str, card: str, trial_days: int = 0) -> str:
    page = stage.do(stage.page(stage.members[name], price, trial_days))
    sub = stage.stripe.pay(page, card)
    assert sub is not None
    return str(sub["id"])


def _nobody(_: staging.Stage) -> None:
    """Both are known, and nobody pays."""


def _one(stage: staging.Stage) -> None:
    _buys(stage, "Anna", "price_month", "4242424242424242")
    stage.passes(DAY)


def _both(stage: staging.Stage) -> None:
    _buys(stage, "Anna", "price_month", "4242424242424242")
    _buys(stage, "Ben", "price_pro", "5555555555554444")
    stage.passes(20 * DAY)


def _old(stage: staging.Stage) -> None:
    """Anna is in her third month, so that there are older payments."""
    _buys(stage, "Anna", "price_month", "4242424242424242")
    stage.passes(70 * DAY)


def _trial(stage: staging.Stage) -> None:
    _buys(stage, "Ben", "price_month", "5555555555554444", trial_days=7)


def _slow(stage: staging.Stage) -> None:
    _buys(stage, "Anna", "price_year", "sepa")


def _unpaid(stage: staging.Stage) -> None:
    """Anna's renewal was refused some hours ago."""
    sub = _buys(stage, "Anna", "price_month", "4242424242424242")
    stage.stripe.fail_next_renewal(sub, 2)
    stage.passes(31 * DAY + 3 * 3600)


SCENES: dict[str, Callable[[staging.Stage], None]] = {
    "nobody": _nobody,
    "one": _one,
    "both": _both,
    "old": _old,
    "trial": _trial,
    "slow": _slow,
    "unpaid": _unpaid,
}
