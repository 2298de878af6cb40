"""Distributions of durations, and the checks of a scenario."""

import statistics
from random import Random

import pytest

from sora_async.sandbox import Scenario, Takes


def drawn(takes, count=2000):
    random = Random(1)
    return [takes.draw(random) for _ in range(count)]


def test_takes_constant_is_always_the_same():
    """A constant needs no chance."""
    assert set(drawn(Takes.constant(2), 5)) == {2.0}


def test_takes_uniform_stays_between_its_ends():
    """An even spread reaches both ends and nothing beyond."""
    values = drawn(Takes.uniform(1, 3))
    assert 1 <= min(values) < 1.1
    assert 2.9 < max(values) <= 3


def test_takes_log_normal_has_its_median_and_a_long_tail():
    """Half of the tasks take longer than the median, and the mean is above it."""
    values = drawn(Takes.log_normal(3, 0.5))
    assert statistics.median(values) == pytest.approx(3, rel=0.05)
    assert statistics.mean(values) > 3.2


def test_takes_mixture_follows_its_weights():
    """Parts occur as often as they weigh."""
    values = drawn(Takes.mixture((3, Takes.constant(1)), (1, Takes.constant(9))))
    assert values.count(9.0) / len(values) == pytest.approx(0.25, abs=0.03)


def test_takes_equal_descriptions_are_equal():
    """A distribution is a value that shows how it was made."""
    mixture = Takes.mixture((1, Takes.uniform(1, 2)), (2, Takes.log_normal(3, 0.5)))
    assert repr(mixture) == "Takes.mixture((1, Takes.uniform(1, 2)), (2, Takes.log_normal(3, 0.5)))"
    assert Takes.constant(3) == Takes.constant(3.0) != Takes.constant(4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Takes.constant(-1),
        lambda: Takes.constant(float("nan")),
        lambda: Takes.uniform(0, float("inf")),
        lambda: Takes.log_normal(0, 1),
        lambda: Takes.log_normal(1, -1),
        Takes.mixture,
        lambda: Takes.mixture((-1, Takes.constant(1))),
        lambda: Takes.mixture((0, Takes.constant(1))),
    ],
)
def test_takes_out_of_range_is_refused(make):
    """A distribution that cannot be drawn from is a ValueError at once."""
    with pytest.raises(ValueError, match=r"must be|needs"):
        make()


def test_scenario_reads_a_number_as_a_constant():
    """Plain seconds are the shortest way to say how long tasks take."""
    assert Scenario(takes_s=2).takes_s == Takes.constant(2)
    assert Scenario().takes_s == Takes.log_normal(3, 0.4)


@pytest.mark.parametrize(
    "fields",
    [
        {"dialect": "klingon"},
        {"words": ()},
        {"rate_limit": 0},
        {"failure_rate": 1.1},
        {"failure_rate": -0.1},
        {"link_lifetime_s": -1},
        {"missing_url_polls": -1},
        {"not_found_polls": -1},
        {"retry_after_s": -1},
    ],
)
def test_scenario_out_of_range_is_refused(fields):
    """A scenario that cannot be played is a ValueError at once."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        Scenario(**fields)


def test_scenario_hides_its_key():
    """Not even the sandbox's own key is printed."""
    assert "secret" not in repr(Scenario(api_key="secret"))
