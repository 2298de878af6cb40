"""What a benchmark found, in one shape for all of them, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from benchmarks.machine import describe, describe_load

PACKAGES = ("httpx", "openai", "fal-client", "matplotlib")
COLUMNS = ("benchmark", "what", "measured", "against", "wanted", "")


def show_number(value: float) -> str:
    """Three digits, and more where they stand before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


@attrs.frozen(kw_only=True)
class Row:
    """One number."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    """Of the value to that of something else, both measured in one run; None if it stands alone."""
    to: str = ""
    """What that is."""
    at_most: float | None = None
    """What is wanted of the ratio, or of the value where there is no ratio."""
    at_least: float | None = None
    """The same."""
    is_value_judged: bool = False
    """Whether what is wanted is of the value although there is a ratio."""

    @property
    def _judged(self) -> tuple[float, str]:
        """The number that is wanted to keep a bound, and its unit."""
        return (self.value, self.unit) if self.ratio is None or self.is_value_judged else (self.ratio, "x")

    @property
    def met(self) -> bool | None:
        """Whether what is wanted was reached; None if nothing is."""
        if self.at_most is None and self.at_least is None:
            return None
        judged, _ = self._judged
        return (self.at_most is None or judged <= self.at_most) and (self.at_least is None or judged >= self.at_least)

    @property
    def wanted(self) -> str:
        """What is wanted, in words."""
        _, unit = self._judged
        bounds = (("at most", self.at_most), ("at least", self.at_least))
        return ", ".join(f"{word} {show_number(bound)} {unit}".strip() for word, bound in bounds if bound is not None)


@attrs.frozen(kw_only=True)
class Result:
    """What one benchmark found."""

    name: str
    unit: str
    """What one unit of its work is, as a sentence without its full stop."""
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    """Sentences that are needed to read the rows, such as what was skipped."""
    details: Any = None
    """JSON values that are too many for a table."""
    text: str = ""
    """What a run of this benchmark alone shows too."""


Measure = Callable[[bool], Result]
"""Measures; True for a quick look that takes seconds in place of minutes."""


def _cells(name: str, row: Row) -> tuple[str, ...]:
    return (
        name,
        row.what,
        f"{show_number(row.value)} {row.unit}".strip(),
        "" if row.ratio is None else f"{show_number(row.ratio)} x {row.to}",
        row.wanted,
        "" if row.met is None else "met" if row.met else "**missed**",
    )


def to_table(results: Sequence[Result]) -> str:
    """All rows as one table in Markdown, then what a unit is and the notes."""
    rows = [_cells(result.name, row) for result in results for row in result.rows]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [COLUMNS, tuple("-" * width for width in widths), *rows]
    table = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    notes = [f"- {result.name}: {'. '.join([result.unit, *result.notes])}." for result in results]
    return "\n".join([*table, "", *notes])


def to_json(results: Sequence[Result], about: Sequence[str]) -> str:
    """All that was found."""
    told = [
        {**attrs.asdict(result), "rows": [{**attrs.asdict(row), "met": row.met} for row in result.rows]}
        for result in results
    ]
    return json.dumps({"about": about, "results": told}, indent=2)


def read_results(text: str) -> list[Result]:
    """What `to_json` told."""
    results = []
    for told in json.loads(text)["results"]:
        rows = [Row(**{name: value for name, value in row.items() if name != "met"}) for row in told.pop("rows")]
        results.append(Result(**told, rows=rows))
    return results


def run(
    description: str | None, measure: Callable[[bool], Sequence[Result]], command: str
) -> tuple[Sequence[Result], bool]:
    """Read the options, measure, print the table, and write the JSON if it is wanted.

    Returns:
        What was found, and whether that was a quick look.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, for a look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there too")
    options = parser.parse_args()
    called = f"`python -m {command}{' --quick' if options.quick else ''}`"
    about = [f"{called}, {datetime.now(UTC):%Y-%m-%d}: {describe(*PACKAGES)}", describe_load()]
    results = measure(options.quick)
    print(to_table(results), "", *(f"{line}." for line in about), sep="\n")
    if options.json is not None:
        options.json.write_text(to_json(results, about))
    return results, options.quick


def run_alone(measure: Measure, name: str, description: str | None) -> None:
    """Be the main function of one benchmark."""

    def measure_and_show(is_quick: bool) -> Sequence[Result]:
        result = measure(is_quick)
        print(result.text)
        return [result]

    run(description, measure_and_show, f"benchmarks.{name}")
