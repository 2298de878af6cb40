"""The command `sora-async`."""

from __future__ import annotations

import sys

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command with the arguments of this process.

    Raises:
        SystemExit: always, with the status that the README lists.
    """
    try:
        import rich  # noqa: F401, PLC0415 whether it is there, before anything is bought

        from sora_async.cli.app import run_app  # noqa: PLC0415 it needs the extra
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write("The command sora-async needs typer and rich: pip install 'sora_async[cli]'\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run_app()
