"""Power cuts: nothing that was acknowledged is lost, and the harness that says so sees losses where there are some."""

import pytest

from benchmarks.powercut import KINDS, cut_power

CUTS = 40


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "FULL" in kind])
def test_ledger_powercut_loses_nothing(kind):
    """With both journals, each cut leaves a whole file with all that was acknowledged."""
    mode, settings = KINDS[kind]
    seen = cut_power(mode, CUTS, settings=settings)
    assert (seen.cuts, seen.losing, seen.rows_lost, seen.corrupt) == (CUTS, 0, 0, 0)
    assert seen.commits > CUTS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "FULL" not in kind])
def test_ledger_powercut_harness_sees_what_less_syncing_loses(kind):
    """The same cuts find rows lost where less is synced."""
    mode, settings = KINDS[kind]
    assert cut_power(mode, CUTS, settings=settings).rows_lost > 0
