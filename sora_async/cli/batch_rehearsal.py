"""`sora-async batch --dry-run`: what would be bought."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from sora_async import BatchStoppedError, Client
from sora_async.batch import Ledger, Manifest, Stage
from sora_async.cli.batch_ledgers import DryLedger, make_dry
from sora_async.cli.batch_order import Order, check_manifest
from sora_async.cli.failures import DONE, USAGE
from sora_async.cli.reporting import Output
from sora_async.cli.running import one_end
from sora_async.cli.wording import Result

_SHOWN_CONFLICTS = 5


def rehearse(order: Order, *, is_json: bool) -> int:
    """Tell what an order would buy, and buy nothing; answers the exit code.

    Raises:
        typer.Exit: that cannot be told; why is said.
    """
    output = Output(is_json=is_json)
    with one_end(order.job, output), Manifest(order.manifest) as manifest:
        if not check_manifest(manifest, output):
            return USAGE
        ledger = make_dry(order.ledger)
        asyncio.run(_count(order, manifest, ledger))
        output.done(_describe(order, ledger, manifest.count))
        return USAGE if ledger.conflicts else DONE


async def _count(order: Order, manifest: Manifest, ledger: DryLedger) -> None:
    # The same way as the real run, for it makes the keys; the client has nothing to do.
    async with Client("none", order.job.base_url) as client:
        outcomes = client.generate_many(manifest.items(), ledger=cast(Ledger, ledger))
        ends = [outcome async for outcome in outcomes if not isinstance(outcome.error, BatchStoppedError)]
        ledger.conflicts += [outcome.key for outcome in ends]


def _describe(order: Order, ledger: DryLedger, total: int) -> Result:
    resent = min(order.policy.max_resends, ledger.known[Stage.UNCERTAIN])
    wanted = ledger.kinds.total() + resent
    bought = wanted if order.policy.max_tasks is None else min(wanted, order.policy.max_tasks)
    known = {stage.value: ledger.known[stage] for stage in Stage if ledger.known[stage]}
    facts: dict[str, Any] = {
        "inputs": total,
        "to_buy": wanted,
        "to_buy_in_this_run": bought,
        "to_send_again": resent,
        "known": known,
        "kinds": [
            {"model": model, "duration": duration, "count": count}
            for (model, duration), count in ledger.kinds.most_common()
        ],
        "conflicts": ledger.conflicts,
        "ledger": str(order.ledger),
    }
    lines = [f"to buy in this run: {bought} of {total}"]
    lines += [f"  {count} x {_name_kind(*kind)}" for kind, count in ledger.kinds.most_common()]
    if resent:
        lines.append(f"  {resent} sent again, though they may have been bought")
    if bought < wanted:
        lines.append(f"left for later runs: {wanted - bought}")
    if known:
        lines.append(f"known to the ledger: {', '.join(f'{count} {stage}' for stage, count in known.items())}")
    if keys := ledger.conflicts:
        more = ", ..." if len(keys) > _SHOWN_CONFLICTS else ""
        shown = ", ".join(keys[:_SHOWN_CONFLICTS])
        lines.append(f"to be corrected first, for the ledger has these keys for other requests: {shown}{more}")
    return Result(facts=facts, text="\n".join(lines), note="Nothing was bought: leave out --dry-run for that")


def _name_kind(model: str, duration: int | None) -> str:
    return model if duration is None else f"{model}, {duration} s"
