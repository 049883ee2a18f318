"""A sweep tries everything, chooses on what it has seen, and counts what it has not."""

import json

import pytest

from core import catalogue, errors
from core.backtest import engine, figures, report, source, sweep
from core.market import candles
from tests.core.backtest import dice

KEY = candles.Key("binance", "BTC/USDT", "1h")
MARKET = dice.Jumps(seed=21, hours=400)
HISTORY = source.History(candles.series(MARKET.candles()), MARKET.tick)


def _rules(params: sweep.Params) -> engine.Rules:
    return report.asked(catalogue.Catalogue(), KEY, "dice", params=params).rules(MARKET.tick)


@pytest.fixture
def question(dice_strategy: None) -> report.Asked:
    return report.asked(catalogue.Catalogue(), KEY, "dice")


def test_every_combination_is_tried_and_the_best_come_first(question: report.Asked) -> None:
    tried = sweep.combinations(question, {"seed": [1, 2, 3], "expires_after": [2, 6]})
    assert len(tried) == 6
    done: list[int] = []
    found = sweep.swept(question, HISTORY, tried, folds=3, said=done.append)
    assert sum(done) == sweep.runs(6, 3) == 6 * 4 + 3
    totals = [one.total_r for _, one in found.rows]
    assert totals == sorted(totals, reverse=True)
    for params, one in found.rows:
        outcome = engine.run(
            HISTORY.series, report.asked(catalogue.Catalogue(), KEY, "dice", params=params).rules(MARKET.tick)
        )
        assert one == figures.summary(outcome)


def test_each_choice_is_made_before_what_it_is_judged_by(question: report.Asked) -> None:
    tried = sweep.combinations(question, {"seed": list(range(8))})
    found = sweep.swept(question, HISTORY, tried, folds=4)
    times = HISTORY.series.open_time
    assert [fold.since for fold in found.folds[1:]] == [fold.turn for fold in found.folds[:-1]]
    assert found.folds[-1].until == times[-1]
    for fold in found.folds:
        assert fold.since < fold.turn < fold.until
        rules = _rules(fold.params)
        seen = HISTORY.series.head(int((times < fold.turn).sum()))
        assert fold.inside == figures.summary(engine.run(seen, rules, since=fold.since))
        ahead = HISTORY.series.head(int((times <= fold.until).sum()))
        assert fold.outside == figures.summary(engine.run(ahead, rules, since=fold.turn))


def test_the_warning_names_how_many_were_tried(question: report.Asked) -> None:
    tried = sweep.combinations(question, {"seed": list(range(30))})
    told = sweep.told(question, HISTORY, sweep.swept(question, HISTORY, tried, folds=2))
    assert json.loads(json.dumps(told)) == told
    assert told["warning"].startswith("30 combinations were tried on the same candles")
    assert (told["tried"], len(told["best"]), len(told["walk_forward"])) == (30, sweep.SHOWN, 2)
    assert told["outside_r"] == round(sum(fold["outside"]["total_r"] for fold in told["walk_forward"]), 2)


def test_impossible_combinations_are_left_out_and_impossible_sweeps_refused() -> None:
    question = report.asked(catalogue.Catalogue(), KEY, "mean_reversion")
    # A window of 5 never has a close 2.25 deviations off its mean.
    assert sweep.combinations(question, {"window": [5, 48]}) == [{"window": 48}]
    for values, part in (
        ({"window": [1]}, "param 'window'"),
        ({"nothing": [1]}, "param 'nothing'"),
        ({"window": list(range(200)), "threshold": list(range(200))}, "at most 10000"),
    ):
        with pytest.raises(errors.ConfigError, match=part):
            sweep.combinations(question, values)


def test_too_few_candles_for_the_folds_are_refused(question: report.Asked) -> None:
    short = source.History(HISTORY.series.head(40), MARKET.tick)
    with pytest.raises(errors.RefusedError, match="fewer folds or a longer time"):
        sweep.swept(question, short, [{"seed": 1}], folds=4)
