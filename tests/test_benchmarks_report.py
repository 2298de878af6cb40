"""The one shape of what benchmarks find."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, measure_apart
from benchmarks.report import Result, Row, read_results, run, show_number, to_json, to_table

FAST = Row(what="this: speed", value=1234.5, unit="calls/s", ratio=0.97, to="aiohttp", at_least=0.95)
RESULT = Result(name="race", unit="One unit is a lap", rows=[FAST], notes=["Somebody is left out"], details={"laps": 3})


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (FAST, True),
        (Row(what="a", value=1234.5, unit="us", ratio=1.2, to="b", at_most=1.1), False),
        (Row(what="a", value=4.0, unit="KB", ratio=7.0, to="b", at_most=5.0, is_value_judged=True), True),
        (Row(what="a", value=4.0, unit="s", at_most=6.0, at_least=5.0), False),
        (Row(what="a", value=4.0, unit="s"), None),
    ],
)
def test_row_tells_whether_its_bound_was_kept(row: Row, met: bool | None) -> None:
    """A bound is one on the ratio where there is a ratio, unless the row says otherwise."""
    assert row.met is met


def test_row_says_of_which_number_something_is_wanted() -> None:
    """A bound on a ratio shows as times, one on a value in its unit."""
    assert FAST.wanted == "at least 0.95 x"
    assert Row(what="a", value=1.0, unit="ms", at_most=50).wanted == "at most 50.0 ms"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.123, "0.12"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346"), (-0.5, "-0.50")]
)
def test_numbers_are_shown_with_three_digits(value: float, shown: str) -> None:
    """More of them would pretend to a precision that a measurement does not have."""
    assert show_number(value) == shown


def test_table_is_markdown_with_units_and_notes() -> None:
    """It can be pasted as it is: equally many cells in each line, and below it what is needed to read it."""
    table, _, notes = to_table([RESULT]).partition("\n\n")
    lines = table.splitlines()
    assert {line.count("|") for line in lines} == {7}
    assert [cell.strip() for cell in lines[2].split("|")[1:6]] == [
        "race",
        "this: speed",
        "1,234 calls/s",
        "0.97 x aiohttp",
        "at least 0.95 x",
    ]
    assert notes == "- race: One unit is a lap. Somebody is left out."


def test_table_shows_what_was_missed() -> None:
    """A bound that was not kept is not to be overlooked."""
    slow = Row(what="a", value=1.0, unit="s", at_most=0.5)
    assert "**missed**" in to_table([Result(name="race", unit="One unit is a lap", rows=[slow])])


def test_json_holds_all_that_was_found() -> None:
    """The rows, whether each is met, and what is too much for a table."""
    told = json.loads(to_json([RESULT], ["a machine"]))
    assert told["about"] == ["a machine"]
    assert told["results"][0]["rows"][0]["met"] is True
    assert told["results"][0]["details"] == {"laps": 3}


def test_run_prints_a_table_and_writes_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the command, the day, the machine and its load, without which numbers say little."""
    monkeypatch.setattr("sys.argv", ["race", "--quick", "--json", str(tmp_path / "found.json")])
    results, is_quick = run("A race.", lambda is_quick: [RESULT] if is_quick else [], "benchmarks.race")
    printed = capsys.readouterr().out
    assert (results, is_quick) == ([RESULT], True)
    assert "this: speed" in printed
    assert "`python -m benchmarks.race --quick`, 20" in printed
    assert json.loads((tmp_path / "found.json").read_text())["results"][0]["name"] == "race"


def test_results_come_back_from_json_as_they_were() -> None:
    """The suite runs each benchmark in a process of its own and puts their tables together."""
    assert to_table(read_results(to_json([RESULT], []))) == to_table([RESULT])


def test_benchmark_that_fails_leaves_the_others_their_rows(capfd: pytest.CaptureFixture[str]) -> None:
    """Half an hour of measurements is not lost by one of them."""
    assert measure_apart("no_such_benchmark", is_quick=True) == []
    assert "No module named benchmarks.no_such_benchmark" in capfd.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_says_what_its_unit_is_and_how_it_runs(name: str) -> None:
    """Numbers of something that nobody knows are none."""
    about = " ".join((import_module(f"benchmarks.{name}").__doc__ or "").split())
    assert "A unit is " in about
    assert f"`python -m benchmarks.{name} [--quick] [--json FILE]`" in about
