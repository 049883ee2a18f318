import io
import statistics
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as draws
from PIL import Image

from core.signals import axes, curve, ink

START, DAY = 1_685_923_200_000, 86_400_000  # 5 Jun 2023


def walk(n: int, each: int = DAY) -> list[tuple[int, float]]:
    chance = np.random.default_rng(5)
    total = np.cumsum(np.where(chance.random(n) < 0.4, 1.6, -1.03))
    return [(START + i * each, float(value)) for i, value in enumerate(total)]


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def coloured(picture: bytes, colour: tuple[int, int, int]) -> int:
    return int((pixels(picture) == colour).all(axis=2).sum())


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40, 5000])
def test_any_number_of_results_is_a_small_png_of_the_promised_size(n: int) -> None:
    drawn = curve.draw(walk(n), title="Mean reversion · BTC/USDT 1h")
    image = Image.open(io.BytesIO(drawn))
    assert (image.format, image.size) == ("PNG", (1000, 600))
    assert len(drawn) <= 60_000
    assert drawn == curve.draw(walk(n), title="Mean reversion · BTC/USDT 1h")


def test_what_lies_below_the_peak_is_shaded_and_nothing_else() -> None:
    losing = [(START + i * DAY, -1.03 * (i + 1)) for i in range(9)]
    winning = [(at, -value) for at, value in losing]
    assert coloured(curve.draw(losing, title="t"), ink.DOWN_ZONE) > 50_000
    assert coloured(curve.draw(winning, title="t"), ink.DOWN_ZONE) == 0


def test_gains_and_losses_have_their_colour() -> None:
    up, down = curve.draw([(START, 2.5)], title="t"), curve.draw([(START, -2.5)], title="t")
    assert coloured(up, ink.UP) > coloured(up, ink.DOWN) == 0
    assert coloured(down, ink.DOWN) > coloured(down, ink.UP) == 0


@pytest.mark.parametrize(
    ("total", "fall", "at"),
    [([1.0, 3.0, 0.5, 2.0], -2.5, 2), ([-1.0, -2.0], -2.0, 1), ([1.0, 2.0], 0.0, 0), ([-0.5, 4.0, 3.8], -0.5, 0)],
)
def test_the_drawdown_is_the_greatest_fall_from_a_peak_or_from_nought(total: list[float], fall: float, at: int) -> None:
    assert curve.drawdown(np.array(total)) == (fall, at)


@given(
    places=draws.lists(draws.floats(0, 20), min_size=1, max_size=300).map(sorted),
    heights=draws.lists(draws.floats(-50, 50), min_size=300, max_size=300),
)
@settings(deadline=None, derandomize=True)
def test_thinning_keeps_every_extreme_of_every_column(places: list[float], heights: list[float]) -> None:
    x, y = np.array(places), np.array(heights[: len(places)])
    few, kept = curve.thinned(x, y)
    assert (np.diff(few) >= 0).all()
    assert (few[0], kept[0], few[-1], kept[-1]) == (x[0], y[0], x[-1], y[-1])
    for column in np.unique(np.floor(x)):
        before, after = y[np.floor(x) == column], kept[np.floor(few) == column]
        assert (before.min(), before.max(), before[0], before[-1]) == (after.min(), after.max(), after[0], after[-1])


def test_a_hundred_thousand_results_are_thinned_to_the_pixels() -> None:
    x, y = curve.thinned(np.linspace(0, 800, 100_000), np.sin(np.arange(100_000)))
    assert len(x) == len(y) <= 4 * 801


@pytest.mark.parametrize(("value", "text"), [(1234.5, "+1 234.50 R"), (-0.004, "0.00 R"), (-1.03, "-1.03 R")])
def test_figures_are_in_r_with_their_sign(value: float, text: str) -> None:
    assert curve.in_r(value) == text


@pytest.mark.parametrize(
    ("days", "texts"),
    [
        (0.5, ["05 Jun", "04:00", "08:00", "12:00"]),
        (10, ["06 Jun", "08 Jun", "10 Jun", "12 Jun", "14 Jun"]),
        (30, ["05 Jun", "12 Jun", "19 Jun", "26 Jun", "03 Jul"]),
        (400, ["Jul 2023", "Oct 2023", "Jan 2024", "Apr 2024", "Jul 2024"]),
        (3000, ["Jan 2024", "Jan 2026", "Jan 2028", "Jan 2030"]),
    ],
)
def test_the_axis_names_round_moments(days: float, texts: list[str]) -> None:
    assert [text for _, text in axes.round_moments(START, START + round(days * DAY))] == texts


@given(first=draws.integers(0, 4_000_000_000_000), span=draws.integers(1, 2_000_000_000_000))
@settings(deadline=None, derandomize=True)
def test_round_moments_lie_within_and_are_few(first: int, span: int) -> None:
    named = axes.round_moments(first, first + span)
    assert all(first <= at <= first + span for at, _ in named)
    assert len(named) <= 8


def test_results_of_one_moment_and_long_names_can_be_drawn() -> None:
    same = [(START, 1.0), (START, 2.0), (START, 0.5)]
    curve.draw(same, title="币安人生1000000MOGCOIN/USDT:USDT " * 5, subtitle="s" * 300, note="⚠ note " * 40)
    curve.draw([(START, 1e9), (START + 1, -1e9)], title="")


def test_a_curve_is_drawn_in_time() -> None:
    points = walk(5000, DAY // 8)
    curve.draw(points, title="t")
    spent = []
    for _ in range(5):
        start = time.process_time()
        curve.draw(points, title="t")
        spent.append(time.process_time() - start)
    assert statistics.median(spent) <= 0.06


def test_a_fall_that_the_points_do_not_show_is_named_all_the_same() -> None:
    assert curve.draw(walk(9), title="t") != curve.draw(walk(9), title="t", fall=-12.5)
