"""How many creates reach the server for one logical call when something goes wrong, for this client and its peers.

Each client speaks its own wire to a local server that counts complete create requests, with its default settings.
Whatever goes wrong goes wrong again for every repetition. Install the peers with `pip install '.[peers]'`, then run:
`python -m benchmarks.creates [--quick] [--json FILE] [--only NAME]`.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.fault_server import (
    CIRCLE,
    CREATED,
    CUT_AFTER_ID,
    CUT_BEFORE_ID,
    DROP,
    RESET,
    STALL,
    Act,
    Stage,
    page,
    refusing,
)
from benchmarks.peers import PEERS
from benchmarks.trials import OK, STOPPED, Fault, Seen, measure, read_options, show, write_json

BOUND_S = 90.0
QUICK_BOUND_S = 10.0
STAGGER_S = 0.1


def _fault(name: str, create: Act, *, is_quick: bool = True) -> Fault:
    return Fault(name=name, stage=lambda peer: Stage(peer.wire, create), is_quick=is_quick)


FAULTS = (
    _fault("no fault", CREATED),
    _fault("read, then closed", DROP),
    _fault("read, then reset", RESET),
    _fault("read, stalled, closed", STALL, is_quick=False),
    _fault("500", refusing(500)),
    _fault("502 page", page(502)),
    _fault("503", refusing(503)),
    _fault("cut after the id", CUT_AFTER_ID),
    _fault("cut before the id", CUT_BEFORE_ID),
    _fault("307 to itself", CIRCLE),
    _fault("409", refusing(409)),
    _fault("429, Retry-After: 1", refusing(429, "Retry-After: 1"), is_quick=False),
    _fault("429", refusing(429), is_quick=False),
    Fault(name="refused", stage=None, is_quick=False),
)
REMARKS = (
    "Bold: more than one. A 307 and a 429 say that nothing was taken, so a repetition there buys nothing twice.",
    "After each other fault the server may have taken every request that it received.",
    "What goes wrong goes wrong again for each repetition. The 502 is a page of HTML by nginx.",
)


def _cell(seen: Seen, bound_s: float) -> str:
    creates = f"**{seen.creates}**" if seen.creates > 1 else f"{seen.creates}"
    if seen.ended == STOPPED:
        return f"{creates} in {bound_s:.0f} s"
    return f"{creates} · {seen.ended if seen.ended == OK else f'`{seen.ended}`'}"


def _key(row: Mapping[str, Seen]) -> str:
    name = next((seen.key_header for seen in row.values() if seen.key_header), "none")
    if name == "none":
        return name
    return f"`{name.title()}`, {'one a call' if all(seen.keys <= 1 for seen in row.values()) else 'another each time'}"


def main() -> None:
    """Measure and print."""
    options = read_options(__doc__)
    bound_s = QUICK_BOUND_S if options.quick else BOUND_S
    peers = [peer for peer in PEERS if not options.only or peer.name in options.only]
    faults = [fault for fault in FAULTS if fault.is_quick or not options.quick]
    table = measure(peers, faults, is_generate=False, bound_s=bound_s, stagger_s=STAGGER_S)
    show(
        "Complete create requests that reached the server for one logical call · what its caller saw.",
        ["idempotency key", *(fault.name for fault in faults)],
        {name: [_key(row), *(_cell(row[fault.name], bound_s) for fault in faults)] for name, row in table.items()},
        peers,
        [*REMARKS, *(f"{peer.name}: `{peer.create_call}`{f'; {peer.note}' if peer.note else ''}" for peer in peers)],
    )
    write_json(options.json, table)


if __name__ == "__main__":
    main()
