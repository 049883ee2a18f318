import csv
import dataclasses
import gzip
import io
import itertools
import statistics
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as draws
from PIL import Image

from core.market.series import Series
from core.signals import axes, charts

GREEN, RED, BLUE = (38, 194, 139), (246, 84, 96), (120, 170, 255)
OPENED = datetime(2023, 6, 5, 12, tzinfo=UTC)
DATA = Path(__file__).parents[3] / ".." / "shared" / "data" / "binance_BTCUSDT_1h.csv.gz"


def walk(
    n: int = 150, level: float = 27_000.0, last: datetime = OPENED, step: timedelta = timedelta(hours=1)
) -> Series:
    chance = np.random.default_rng(4)
    close = level * np.exp(np.cumsum(chance.normal(0, 0.004, n)))
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    first = round((last - (n - 1) * step).timestamp() * 1000)
    open_time = first + np.arange(n, dtype=np.int64) * round(step.total_seconds() * 1000)
    return Series(open_time, opened, high, low, close, chance.uniform(1, 9, n))


def long_chart(series: Series, tick: str = "0.01") -> charts.Chart:
    close = float(series.close[-1])
    entry, target, stop = (Decimal(close * share).quantize(Decimal(tick)) for share in (1, 1.02, 0.99))
    return charts.Chart("BTC/USDT", "1h", "long", entry, target, stop, OPENED)


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((picture == colour).all(axis=2).mean())


def test_the_picture_is_a_small_png_of_the_promised_size() -> None:
    drawn = charts.draw(walk(), long_chart(walk()))
    image = Image.open(io.BytesIO(drawn))
    assert (image.format, image.size) == ("PNG", (1000, 600))
    assert len(drawn) <= 60_000


def test_the_same_signal_gives_the_same_picture() -> None:
    assert charts.draw(walk(), long_chart(walk())) == charts.draw(walk(), long_chart(walk()))


def test_target_and_stop_tags_stand_the_right_way_up() -> None:
    chart = long_chart(walk())
    mirrored = dataclasses.replace(chart, direction="short", target=chart.stop, stop=chart.target)
    for one, first, second in ((chart, GREEN, RED), (mirrored, RED, GREEN)):
        axis = pixels(charts.draw(walk(), one))[100:520, -20:]
        upper, lower = (np.flatnonzero((axis == colour).all(axis=2).any(axis=1)).mean() for colour in (first, second))
        assert upper < lower


def test_the_exit_is_marked() -> None:
    chart = long_chart(walk())
    later = walk(160, last=OPENED + timedelta(hours=10))
    ended = dataclasses.replace(
        chart, exit_price=chart.entry + 3, exit_at=OPENED + timedelta(hours=7), outcome="expired"
    )
    assert share(pixels(charts.draw(later, chart)), BLUE) == 0
    assert share(pixels(charts.draw(later, ended)), BLUE) > 0


def ladder(series: Series, *shares: str) -> charts.Chart:
    """A long chart whose way to the target is left in so many equal steps."""
    chart = long_chart(series)
    way = (chart.target - chart.entry) / len(shares)
    steps = [(chart.entry + way * number).quantize(Decimal("0.01")) for number in range(1, len(shares) + 1)]
    return dataclasses.replace(chart, targets=tuple(zip(steps, map(Decimal, shares), strict=True)))


def columns(picture: np.ndarray, colour: tuple[int, int, int], row: int) -> np.ndarray:
    return np.flatnonzero((picture[row] == colour).all(axis=1))


def test_every_target_has_a_line_of_its_own() -> None:
    chart = ladder(walk(), "0.5", "0.3", "0.2")
    view = axes.view(walk(), charts._levels(chart), OPENED, None)
    picture = pixels(charts.draw(walk(), chart))
    rows = [view.y(float(price)) for price, _ in chart.targets]
    assert all(len(columns(picture[:, view.zone[0] : view.right], GREEN, row)) for row in rows)
    assert len(set(rows)) == 3


def test_parts_that_left_are_dots_and_a_stop_that_moved_stands_where_it_moved() -> None:
    later, chart = walk(160, last=OPENED + timedelta(hours=10)), ladder(walk(), "0.5", "0.5")
    first, moved = OPENED + timedelta(hours=2), OPENED + timedelta(hours=5)
    gone = dataclasses.replace(chart, parts=((first, chart.targets[0][0]),), stops=((moved, chart.entry - 40),))
    view = axes.view(later, charts._levels(gone), OPENED, None)
    picture = pixels(charts.draw(later, gone))
    at = view.place(first), view.y(float(chart.targets[0][0]))
    assert tuple(picture[at[1], at[0]]) == BLUE
    beside = picture[:, view.x(len(view.series)) : view.right]
    assert not len(columns(beside, RED, view.y(float(chart.stop))))
    assert len(columns(beside, RED, view.y(float(chart.entry - 40))))


def test_a_signal_that_ended_is_drawn_with_all_that_happened() -> None:
    later, chart = walk(160, last=OPENED + timedelta(hours=10)), ladder(walk(), *["0.2"] * 5)
    hours = [OPENED + timedelta(hours=number) for number in range(1, 5)]
    ended = dataclasses.replace(
        chart,
        parts=tuple(zip(hours, [price for price, _ in chart.targets], strict=False)),
        stops=tuple((hour, chart.entry) for hour in hours),
        exit_price=chart.entry,
        exit_at=OPENED + timedelta(hours=8),
        outcome="stopped",
        result="+0.62%",
    )
    drawn = charts.draw(later, ended)
    assert share(pixels(drawn), BLUE) > share(pixels(charts.draw(later, dataclasses.replace(ended, parts=()))), BLUE)
    assert drawn != charts.draw(later, dataclasses.replace(ended, result="-0.62%"))
    assert len(drawn) <= 75_000


@pytest.mark.parametrize("tick", ["0.01", "100"])
def test_nine_targets_can_be_drawn_even_where_they_fall_together(tick: str) -> None:
    chart = ladder(walk(), *["0.1111"] * 9)
    chart = dataclasses.replace(chart, targets=tuple((price.quantize(Decimal(tick)), s) for price, s in chart.targets))
    assert share(pixels(charts.draw(walk(), chart)), GREEN) > 0.02


def test_the_note_is_written_into_the_picture() -> None:
    chart = long_chart(walk())
    plain, noted = (pixels(charts.draw(walk(), dataclasses.replace(chart, note=n))) for n in ("", "simulated market"))
    changed = np.argwhere((plain != noted).any(axis=2))
    assert len(changed) > 200
    assert changed[:, 0].min() > 550


def test_gain_counts_in_the_direction_of_the_signal() -> None:
    chart = long_chart(walk())
    up = chart.entry * Decimal("1.02")
    assert chart.gain(up) == "+2.00%"
    assert dataclasses.replace(chart, direction="short").gain(up) == "-2.00%"
    assert chart.gain(chart.entry * Decimal("0.999999")) == "+0.00%"


@pytest.mark.parametrize(
    ("series", "tick"),
    [
        (walk(1), "0.01"),
        (walk(2), "0.01"),
        (walk(12), "0.01"),
        (walk(level=1.234e-5), "0.00000001"),
        (walk(level=1.234e-12), "0.000000000000000001"),
        (walk(level=9e9), "1"),
        (walk(step=timedelta(minutes=1)), "0.01"),
        (walk(step=timedelta(days=3)), "0.01"),
        (walk(step=timedelta(weeks=1)), "0.01"),
    ],
)
def test_any_market_can_be_drawn(series: Series, tick: str) -> None:
    picture = pixels(charts.draw(series, long_chart(series, tick)))
    assert share(picture, GREEN) > 0.005
    assert share(picture, RED) > 0.005


def test_a_market_that_stands_still_can_be_drawn() -> None:
    flat = Series.from_rows([(3_600_000 * i, 5.0, 5.0, 5.0, 5.0, 0.0) for i in range(150)])
    five = Decimal("5.00")
    charts.draw(flat, charts.Chart("A/B", "1h", "long", five, five, five, OPENED))


def test_letters_that_the_font_lacks_and_long_names_can_be_drawn() -> None:
    chart = dataclasses.replace(long_chart(walk()), symbol="币安人生1000000MOGCOIN/USDT:USDT", note="⚠ note " * 30)
    charts.draw(walk(), chart)


@pytest.mark.parametrize("opened", [OPENED - timedelta(days=400), OPENED + timedelta(days=400)])
def test_a_signal_outside_of_the_candles_can_be_drawn(opened: datetime) -> None:
    charts.draw(walk(), dataclasses.replace(long_chart(walk()), opened_at=opened))


def test_no_candles_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one candle"):
        charts.draw(Series.from_rows([]), long_chart(walk()))


@given(heights=draws.lists(draws.integers(-50, 700), max_size=6).map(sorted))
@settings(deadline=None, derandomize=True)
def test_tags_never_overlap_nor_leave_the_picture(heights: list[int]) -> None:
    placed = axes.apart(heights, 42, 111, 505)
    assert len(placed) == len(heights)
    assert all(below - above >= 41 for above, below in itertools.pairwise(placed))  # rounding takes one
    assert all(110 <= place <= 506 for place in placed)


def test_tags_with_room_stay_at_their_price() -> None:
    assert axes.apart([120, 200, 400], 42, 111, 505) == [120, 200, 400]
    assert axes.apart([200, 200], 42, 111, 505) == [179, 221]


@pytest.mark.parametrize(
    ("low", "high", "decimals", "texts"),
    [
        (26_376.0, 27_450.0, 0, ["26 500", "26 750", "27 000", "27 250"]),
        (1.0, 1.31, 0, ["1.0", "1.1", "1.2", "1.3"]),
        (0.0000183, 0.0000212, 8, ["0.00001900", "0.00002000", "0.00002100"]),
    ],
)
def test_the_axis_names_round_prices(low: float, high: float, decimals: int, texts: list[str]) -> None:
    assert [text for _, text in axes.round_prices(low, high, decimals)] == texts


@pytest.mark.parametrize(
    ("step", "texts"),
    [
        (timedelta(hours=1), ["02 Jun", "03 Jun", "04 Jun", "05 Jun"]),
        (timedelta(minutes=5), ["06:00", "08:00", "10:00", "12:00"]),
        (timedelta(days=1), ["20 Mar", "17 Apr", "15 May"]),
    ],
)
def test_the_axis_names_round_times(step: timedelta, texts: list[str]) -> None:
    series = walk(90, step=step, last=OPENED if step < timedelta(days=1) else OPENED.replace(hour=0))
    view = axes.view(series, [Decimal(1)], OPENED, None)
    assert [text for _, text in axes.round_times(view)] == texts


@pytest.mark.skipif(not DATA.exists(), reason="the recorded candles are not on this machine")
def test_a_real_market_is_drawn_in_time_and_small() -> None:
    with gzip.open(DATA, "rt") as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:301]]
    series = Series.from_rows([(int(at), o, h, low, c, v) for at, o, h, low, c, v in rows])
    chart = dataclasses.replace(long_chart(series), opened_at=datetime.fromtimestamp(rows[-1][0] / 1000, UTC))
    charts.draw(series, chart)
    spent = []
    for _ in range(5):
        start = time.process_time()
        drawn = charts.draw(series, chart)
        spent.append(time.process_time() - start)
    assert len(drawn) <= 60_000
    assert statistics.median(spent) <= 0.06
