"""Whether a video that was paid for comes home when its polls meet trouble, for this client and its peers.

The create is accepted; then the first polls meet the trouble, and every later one answers that the task has finished.
Each client speaks its own wire to a local server, with its default settings. Run:
`python -m benchmarks.trouble [--quick] [--json FILE] [--only NAME]`.
"""

from __future__ import annotations

from benchmarks.fault_server import CREATED, DROP, RUNNING, UNKNOWN, Act, Stage, page, refusing
from benchmarks.peers import PEERS
from benchmarks.trials import OK, STOPPED, Fault, Seen, measure, read_options, show, write_json

BOUND_S = 900.0
QUICK_BOUND_S = 30.0
STAGGER_S = 0.5
CANCEL_AFTER_S = 10.0


def _fault(name: str, *polls: Act, is_quick: bool = True) -> Fault:
    return Fault(name=name, stage=lambda peer: Stage(peer.wire, CREATED, list(polls)), is_quick=is_quick)


FAULTS = (
    _fault("no fault"),
    _fault("20 x 503", *[refusing(503)] * 20, is_quick=False),
    _fault("3 dropped", *[DROP] * 3, is_quick=False),
    _fault("429, Retry-After: 3", refusing(429, "Retry-After: 3")),
    _fault("2 x 404", *[refusing(404)] * 2),
    _fault("HTML with 200", page(200)),
    _fault("unknown status", UNKNOWN),
    Fault(
        name="cancelled",
        stage=lambda peer: Stage(peer.wire, CREATED, rest=RUNNING),
        cancel_after_s=CANCEL_AFTER_S,
    ),
)
REMARKS = (
    "An id in the exception lets the caller go on with the task that was paid.",
    "Each client can also create and wait in two calls, and then its caller holds the id.",
    "fal-client, comfy-sdk and sora_async can also tell the id to a callback while their one call goes on.",
    "fal-client and comfy-sdk fetch a result with one more GET.",
    f"cancelled: the asyncio task of the call is cancelled after {CANCEL_AFTER_S:.0f} s of polls that show it running.",
)
WHERE = {"text": "id in its text", "attribute": "id in an attribute", "url": "id in a URL only", "": "no id"}


def _cell(seen: Seen, fault: Fault, bound_s: float) -> str:
    if fault.cancel_after_s is not None:
        return ("cancels the task" if seen.cancels else "leaves the task") + (", polls on" if seen.polls_late else "")
    seconds = "under 1 s" if seen.seconds < 1 else f"{seen.seconds:.0f} s"
    effort = f"{seen.polls} GET{'' if seen.polls == 1 else 's'}, {seconds}"
    if seen.ended == STOPPED:
        return f"goes on after {bound_s:.0f} s · {effort}"
    if seen.ended == OK:
        return f"ok · {effort}"
    if seen.ended.startswith("returned"):
        return f"{seen.ended} · {effort}"
    return f"`{seen.ended}`, {WHERE[seen.id_in_error]} · {effort}"


def main() -> None:
    """Measure and print."""
    options = read_options(__doc__)
    bound_s = QUICK_BOUND_S if options.quick else BOUND_S
    chosen = [peer for peer in PEERS if not options.only or peer.name in options.only]
    peers = [peer for peer in chosen if peer.generate_call is not None]
    faults = [fault for fault in FAULTS if fault.is_quick or not options.quick]
    table = measure(peers, faults, is_generate=True, bound_s=bound_s, stagger_s=STAGGER_S)
    show(
        "How one create-and-wait call ended that met trouble while it polled, after how many GETs and seconds.",
        [fault.name for fault in faults],
        {name: [_cell(row[fault.name], fault, bound_s) for fault in faults] for name, row in table.items()},
        peers,
        [
            *REMARKS,
            *(f"{peer.name}: `{peer.generate_call}`{f'; {peer.note}' if peer.note else ''}" for peer in peers),
            *(f"{peer.name}: has no call that waits" for peer in chosen if peer.generate_call is None),
        ],
    )
    write_json(options.json, table)


if __name__ == "__main__":
    main()
