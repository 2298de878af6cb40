"""How long the tasks of a sandbox take: small distributions drawn with its seed."""

import math
from collections.abc import Callable
from random import Random

import attrs


def _checked(name: str, seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} must be a number of seconds, 0 or more, not {seconds!r}")
    return float(seconds)


@attrs.frozen(repr=False)
class Takes:
    """A distribution of seconds; make one with the constructors below."""

    label: str
    """What it is, as shown by `repr`; equal labels are equal distributions."""
    draw: Callable[[Random], float] = attrs.field(eq=False)
    """Gives one duration in seconds, 0 or more, from a seeded generator."""

    def __repr__(self) -> str:
        return f"Takes.{self.label}"

    @classmethod
    def constant(cls, seconds: float) -> "Takes":
        """Give every task the same duration, in seconds; 0 finishes at once."""
        seconds = _checked("seconds", seconds)
        return cls(f"constant({seconds:g})", lambda _random: seconds)

    @classmethod
    def uniform(cls, low_s: float, high_s: float) -> "Takes":
        """Spread durations evenly from `low_s` to `high_s` seconds."""
        low_s, high_s = _checked("low_s", low_s), _checked("high_s", high_s)
        return cls(f"uniform({low_s:g}, {high_s:g})", lambda random: random.uniform(low_s, high_s))

    @classmethod
    def log_normal(cls, median_s: float, sigma: float) -> "Takes":
        """Spread durations as services do: half above `median_s` seconds, a long tail.

        Args:
            median_s: The middle duration in seconds, more than 0.
            sigma: The width, 0 or more: about two thirds lie within a factor of `exp(sigma)`.

        Raises:
            ValueError: A value is outside of its range.
        """
        if _checked("median_s", median_s) == 0:
            raise ValueError("median_s must be more than 0")
        mu, sigma = math.log(median_s), _checked("sigma", sigma)
        return cls(f"log_normal({median_s:g}, {sigma:g})", lambda random: random.lognormvariate(mu, sigma))

    @classmethod
    def mixture(cls, *parts: tuple[float, "Takes"]) -> "Takes":
        """Draw from one of several distributions, each given as `(weight, takes)`.

        Raises:
            ValueError: There is no part, or the weights are negative or all 0.
        """
        weights = [weight for weight, _ in parts]
        if min(weights, default=-1.0) < 0 or sum(weights) <= 0:
            raise ValueError("mixture needs (weight, takes) parts with weights of 0 or more, not all 0")
        choices = [takes for _, takes in parts]
        label = ", ".join(f"({weight:g}, {takes!r})" for weight, takes in parts)
        return cls(f"mixture({label})", lambda random: random.choices(choices, weights)[0].draw(random))


def to_takes(value: "float | Takes") -> Takes:
    """Read a plain number of seconds as a constant distribution."""
    return value if isinstance(value, Takes) else Takes.constant(value)
