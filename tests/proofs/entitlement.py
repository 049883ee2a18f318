"""Proof: whatever happens at the provider and to its news, access is what the account says.

Random histories (tests/proofs/entitlement_machine.py) of members of several operators, who have made different choices.
No member may ever have more than the account said, plus grace, at a moment at which the product may have looked last,
nor less than it said all the time; and after a reconcile exactly what it says. The judge is a function over the
stand-in's account (tests/proofs/entitlement_model.py), which shares no line with the product.
"""

import contextlib
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs import entitlement_machine as machine
from tests.proofs import entitlement_model as model
from tests.proofs import entitlement_stage as staging

_PLANS = {price_id: plan for price_id, (plan, *_) in staging.PRICES.items()}
_PART = 500


@dataclass(frozen=True)
class Operator:
    """What an operator has chosen here, and at the provider."""

    choices: model.Choices
    account: dict[str, Any] = field(default_factory=dict)


OPERATORS = {
    "usual": Operator(model.Choices(_PLANS)),
    "strict": Operator(
        model.Choices(_PLANS, grace_days=0),
        {"after_retries": "unpaid", "async_status": "incomplete", "draft_seconds": 0},
    ),
    "patient": Operator(
        model.Choices(_PLANS, grace_days=7, paused_keeps=True, second="tell"),
        {"after_retries": "past_due", "retry_days": (1, 2)},
    ),
}


@dataclass(frozen=True)
class Scale:
    """How many histories are played, of how many steps at most; the same seed plays the same ones."""

    sequences: int = 50_000
    steps: int = 12
    seed: int = 7
    workers: int = 0


@dataclass
class Outcome:
    """What was played, and every history that ended badly, as short as it could be made."""

    figures: machine.Figures
    violations: list[str]
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.violations and self.figures.sequences > 0

    def __str__(self) -> str:
        head = (
            f"{'GOOD' if self.ok else 'BAD'}: {self.figures} in {self.seconds:.0f} s; {len(self.violations)} violations"
        )
        return "\n".join([head, *self.violations])


def play(operator: str, *, seed: int, sequences: int, steps: int) -> machine.Figures:
    """At least so many histories were played with this operator; raises what was found, with the shortest history."""
    chosen = OPERATORS[operator]
    stage = staging.Stage(chosen.choices, **chosen.account)
    try:
        return play_on(stage, seed=seed, sequences=sequences, steps=steps)
    finally:
        stage.close()


def play_on(stage: staging.Stage, *, seed: int, sequences: int, steps: int, shortest: bool = True) -> machine.Figures:
    """The same on this stage; without `shortest` a history that ends badly is raised as it was found."""
    figures = machine.Figures()
    played = type("Played", (machine.Entitlement,), {"stage": stage, "figures": figures})
    bounds = settings(
        max_examples=sequences,
        stateful_step_count=steps + 1,  # how a history begins counts as a step there
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shortest else (Phase.generate,),
    )
    with _quiet():
        run_state_machine_as_test(hypothesis.seed(seed)(played), settings=bounds)
    return figures


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is logged in the block: the lines of thousands of histories would cost more than they tell."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def prove(scale: Scale) -> Outcome:
    """So many histories were played, on every processor; each part has a seed of its own, and each its operator."""
    began, total, violations = time.monotonic(), machine.Figures(), []
    fresh = multiprocessing.get_context("spawn")
    # Each part in a process of its own: one that has played thousands of histories becomes half as slow again.
    with futures.ProcessPoolExecutor(scale.workers or os.cpu_count(), fresh, max_tasks_per_child=1) as pool:
        running = {pool.submit(_part, *part): part for part in _parts(scale)}
        for done in futures.as_completed(running):
            if done.cancelled():
                continue
            figures, fault = done.result()
            total += figures
            if fault:
                operator, seed, *_ = running[done]
                violations.append(f"operator {operator}, seed {seed}: {fault}")
                print(violations[-1], flush=True)
            print(f"  {total.sequences:,} sequences, {len(violations)} violations", flush=True)
            if total.sequences >= scale.sequences:  # a part plays some more than it is asked for
                for part in running:
                    part.cancel()
    return Outcome(total, violations, time.monotonic() - began)


def _parts(scale: Scale) -> Iterator[tuple[str, int, int, int]]:
    names = sorted(OPERATORS)
    for number, start in enumerate(range(0, scale.sequences, _PART)):
        size = min(_PART, scale.sequences - start)
        yield names[number % len(names)], scale.seed * 1000 + number, size, scale.steps


def _part(operator: str, seed: int, sequences: int, steps: int) -> tuple[machine.Figures, str]:
    try:
        return play(operator, seed=seed, sequences=sequences, steps=steps), ""
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the proof has found
        return machine.Figures(), "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
