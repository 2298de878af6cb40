"""The commands `sora-async ledger`: look into the account of a batch, settle what is in doubt, take it elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from sora_async.batch import Stage
from sora_async.cli import options as given
from sora_async.cli.failures import Job
from sora_async.cli.ledger_export import export_ledger
from sora_async.cli.ledger_place import Place
from sora_async.cli.ledger_resolve import Way, resolve_entry
from sora_async.cli.ledger_show import show_entry, show_ledger
from sora_async.cli.options import check_output
from sora_async.cli.reporting import Output
from sora_async.cli.running import one_end
from sora_async.cli.wording import show_count

ledger = typer.Typer(
    name="ledger",
    help="Look into the account of a batch, settle what is in doubt, take it elsewhere.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_PLACES = "postgresql://..., or the name of an environment variable that holds such a DSN; #name for another one in it."

LedgerPlace = Annotated[
    str, typer.Argument(metavar="LEDGER", help=f"The ledger: a batch's folder, a file, or {_PLACES}")
]


@ledger.command()
def show(
    place: LedgerPlace,
    *,
    state: Annotated[list[Stage] | None, typer.Option(help="Only what is in this state. Repeatable.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="All of one entry, each of its steps too.")] = None,
    as_json: given.AsJson = False,
) -> None:
    """List what is in a ledger; also while a batch writes it."""
    output = Output(is_json=as_json)
    with one_end(Job(verb="show"), output):
        if key is None:
            asyncio.run(show_ledger(Place(place), state or [], output))
        else:
            asyncio.run(show_entry(Place(place), key, output))


@ledger.command()
def resolve(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its key, as show lists it.")],
    *,
    place: Annotated[str, typer.Option("--ledger", metavar="LEDGER", help=f"The ledger: a file, or {_PLACES}")],
    task_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="It was bought, and this is its id; the next run fetches it."),
    ] = None,
    lost: Annotated[bool, typer.Option("--lost", help="Give it up.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Let the next run buy it, perhaps once more.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Settle one input: one that is in doubt, or that failed."""
    output = Output(is_json=as_json)
    with one_end(Job(verb="resolve"), output):
        chosen = [way for way, is_chosen in zip(Way, (task_id is not None, lost, retry), strict=True) if is_chosen]
        if len(chosen) != 1:
            raise ValueError("give exactly one of --id, --lost and --retry")
        output.done(asyncio.run(resolve_entry(Place(place), key, chosen[0], task_id)))


@ledger.command()
def export(
    place: LedgerPlace,
    *,
    form: Annotated[
        Literal["csv", "jsonl"],
        typer.Option(
            "--format", help="csv: the whole account, for spreadsheets. jsonl: a manifest of the same inputs."
        ),
    ] = "csv",
    output: given.OutputFile = None,
    force: given.Force = False,
) -> None:
    """Write a ledger as CSV, or as a manifest that buys nothing with the same ledger."""
    said = Output(is_json=False)
    with one_end(Job(verb="export"), said):
        if output is not None:
            check_output(output, may_replace=force)
        incomplete = export_ledger(Place(place), form, output)
        if incomplete and form == "jsonl":
            count = show_count(incomplete, "line")
            said.note(f"{count} cannot be run again: of pictures that were data: URIs the ledger has the digests only")
