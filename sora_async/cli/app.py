"""The commands of `sora-async`."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from sora_async import __version__
from sora_async.cli import options as given
from sora_async.cli import verbs
from sora_async.cli.batching import batch, gallery
from sora_async.cli.failures import Job
from sora_async.cli.ledger import ledger
from sora_async.cli.options import DEFAULT_TIMEOUT_S, DEFAULTS, check_output, make_request, read_timeout
from sora_async.cli.running import Work, run

app = typer.Typer(
    name="sora-async",
    help="Make videos through the unified video format. The key is read from SORA_API_KEY.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run_app() -> None:
    """Run the command with the arguments of this process; raises SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        # An old terminal's encoding must not end a run that was paid for.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="sora-async")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"sora-async {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def generate(
    prompt: given.Prompt,
    *,
    image: given.Image = None,
    model: given.Model = DEFAULTS.model,
    orientation: given.Orientation = DEFAULTS.orientation,
    size: given.Size = DEFAULTS.size,
    duration: given.Duration = DEFAULTS.duration,
    watermark: given.Watermark = DEFAULTS.watermark,
    private: given.Private = None,
    character_url: given.CharacterUrl = None,
    character_timestamps: given.CharacterTimestamps = None,
    extra: given.Extra = None,
    omit: given.Omit = None,
    output: given.OutputFile = None,
    force: given.Force = False,
    timeout: given.Timeout = DEFAULT_TIMEOUT_S,
    sandbox: given.UseSandbox = False,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Create a video, wait for it and download it."""
    job = Job(verb="download", base_url=base_url, is_sandbox=sandbox, output=output, replaces=force)

    def plan() -> Work:
        request = make_request(
            prompt,
            image,
            extra,
            omit,
            model=model,
            orientation=orientation,
            size=size,
            duration=duration,
            watermark=watermark,
            private=private,
            character_url=character_url,
            character_timestamps=character_timestamps,
        )
        deadline = read_timeout(timeout)
        check_output(output, may_replace=force)
        return lambda client: verbs.generate(client, job, request, deadline)

    run(job, plan, doing="creating", is_json=as_json)


@app.command()
def create(
    prompt: given.Prompt,
    *,
    image: given.Image = None,
    model: given.Model = DEFAULTS.model,
    orientation: given.Orientation = DEFAULTS.orientation,
    size: given.Size = DEFAULTS.size,
    duration: given.Duration = DEFAULTS.duration,
    watermark: given.Watermark = DEFAULTS.watermark,
    private: given.Private = None,
    character_url: given.CharacterUrl = None,
    character_timestamps: given.CharacterTimestamps = None,
    extra: given.Extra = None,
    omit: given.Omit = None,
    sandbox: given.UseSandbox = False,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Create a video without waiting for it, and print its id."""
    job = Job(verb="wait", base_url=base_url, is_sandbox=sandbox)

    def plan() -> Work:
        request = make_request(
            prompt,
            image,
            extra,
            omit,
            model=model,
            orientation=orientation,
            size=size,
            duration=duration,
            watermark=watermark,
            private=private,
            character_url=character_url,
            character_timestamps=character_timestamps,
        )
        return lambda client: verbs.create(client, job, request)

    run(job, plan, doing="creating", is_json=as_json)


@app.command()
def status(task_id: given.TaskId, base_url: given.BaseUrl = None, as_json: given.AsJson = False) -> None:
    """Show a task as it is now."""
    job = Job(verb="status", base_url=base_url, task_id=task_id)
    run(job, lambda: lambda client: verbs.query(client, task_id), doing="asking", is_json=as_json)


@app.command()
def wait(
    task_id: given.TaskId,
    *,
    timeout: given.Timeout = DEFAULT_TIMEOUT_S,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Wait until a task is finished, and show it."""
    job = Job(verb="wait", base_url=base_url, task_id=task_id)

    def plan() -> Work:
        deadline = read_timeout(timeout)
        return lambda client: verbs.wait(client, task_id, deadline)

    run(job, plan, doing="waiting", is_json=as_json)


@app.command()
def download(
    task_id: given.TaskId,
    *,
    output: given.OutputFile = None,
    force: given.Force = False,
    timeout: given.Timeout = DEFAULT_TIMEOUT_S,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Wait until a task is finished, and download its video."""
    job = Job(verb="download", base_url=base_url, task_id=task_id, output=output, replaces=force)

    def plan() -> Work:
        deadline = read_timeout(timeout)
        check_output(output, may_replace=force)
        return lambda client: verbs.download(client, job, task_id, deadline)

    run(job, plan, doing="waiting", is_json=as_json)


@app.command()
def character(
    timestamps: given.Timestamps,
    url: given.CharacterSource = None,
    from_task: given.CharacterTask = None,
    base_url: given.BaseUrl = None,
    as_json: given.AsJson = False,
) -> None:
    """Make a character from a stretch of a video."""
    job = Job(verb="character", base_url=base_url)
    run(
        job,
        lambda: lambda client: verbs.make_character(client, job, timestamps, url, from_task),
        doing="making the character",
        is_json=as_json,
    )


app.command()(batch)
app.command()(gallery)
app.add_typer(ledger)


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sandbox(context: typer.Context) -> None:
    """Run a relay on this machine that costs nothing."""
    from sora_async.sandbox import serve  # noqa: PLC0415 it is a server, and most runs need none

    raise typer.Exit(serve(context.args))


@app.command()
def doctor(base_url: given.BaseUrl = None, as_json: given.AsJson = False) -> None:
    """Tell what keeps this from working; creates nothing."""
    from sora_async.cli.doctor import examine  # noqa: PLC0415 most runs need none

    raise typer.Exit(examine(base_url, is_json=as_json))
