"""The command `sora-async batch`, and the one that makes its page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from sora_async.batch import BatchPolicy, find_folder, write_gallery
from sora_async.cli import options as given
from sora_async.cli.batch_order import Order, check_ledger
from sora_async.cli.batch_rehearsal import rehearse
from sora_async.cli.batch_run import BatchRun
from sora_async.cli.failures import Job
from sora_async.cli.ledger_place import LEDGER_NAME, Place
from sora_async.cli.options import DEFAULT_TIMEOUT_S, read_timeout
from sora_async.cli.reporting import Output
from sora_async.cli.running import one_end
from sora_async.cli.wording import Result

_LIMITS = BatchPolicy()

ManifestFile = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST",
        help="JSONL (each line the fields of a request, with key and output if wanted), CSV with the same fields as "
        "columns, or - for standard input.",
    ),
]
Directory = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Where the videos go: a folder, made if missing, or a store's URL such as s3://bucket/boats.",
    ),
]
LedgerPlace = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="LEDGER",
        help="The account: a file, postgresql://..., or the name of an environment variable that holds such a DSN; "
        f"else {LEDGER_NAME} in the folder; a store needs one.",
    ),
]


def batch(
    manifest: ManifestFile,
    *,
    output: Directory,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Videos under way at once, from the create to the file.")
    ] = _LIMITS.concurrency,
    creates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Creates under way at once: so many may end in doubt.")
    ] = _LIMITS.creates,
    downloads: Annotated[
        int, typer.Option(min=1, metavar="N", help="Files that are fetched at once.")
    ] = _LIMITS.downloads,
    max_tasks: Annotated[int | None, typer.Option(min=1, metavar="N", help="The most that this run may buy.")] = None,
    timeout: given.Timeout = DEFAULT_TIMEOUT_S,
    ledger: LedgerPlace = None,
    on_uncertain: Annotated[
        Literal["keep", "retry"],
        typer.Option(help="A create in doubt is kept for you to settle, or sent again, which may pay twice."),
    ] = "keep",
    max_resends: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --on-uncertain retry: how many are sent again at most.")
    ] = 0,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let the workers of this Dask scheduler do it, such as tcp://host:8786."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be bought, and buy nothing.")] = False,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Write index.html into the folder at the end.")] = True,
    sandbox: given.UseSandbox = False,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Create many videos and download them; run it again, and it goes on where it was and buys nothing twice."""
    job = Job(verb="batch", base_url=base_url, is_sandbox=sandbox)
    with one_end(job, Output(is_json=as_json)):
        if (on_uncertain == "retry") != (max_resends > 0):
            raise ValueError("--on-uncertain retry may pay twice, so it goes together with --max-resends from 1")
        directory = find_folder(output)
        if ledger is None:
            if directory is None:
                raise ValueError("--output is a store: say by --ledger in which file or database the account is kept")
            ledger = str(directory / LEDGER_NAME)
        order = Order(
            manifest=manifest,
            directory=directory or output,
            ledger=Place(ledger),
            dask=dask,
            policy=BatchPolicy(
                concurrency=concurrency,
                creates=creates,
                downloads=downloads,
                timeout=read_timeout(timeout),
                max_tasks=max_tasks,
                on_uncertain=on_uncertain,
                max_resends=max_resends,
            ),
            job=job,
            wants_page=page and directory is not None,
        )
        check_ledger(order)
    raise typer.Exit(rehearse(order, is_json=as_json) if dry_run else BatchRun(order, is_json=as_json).run())


def gallery(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a batch.")],
    *,
    ledger: LedgerPlace = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The heading; else the folder's name.")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Write the page of a batch, index.html in its folder, and print its path."""
    output = Output(is_json=as_json)
    place = Place(ledger or str(directory / LEDGER_NAME))
    with one_end(Job(verb="gallery"), output):
        page = asyncio.run(write_gallery(place.ledger(), directory, ledger_file=str(place), title=title))
        path = str(directory / page.name)
        output.done(Result(facts={"path": path}, text=path))
