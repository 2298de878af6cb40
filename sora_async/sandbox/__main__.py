"""Runs a sandbox: `python -m sora_async.sandbox`."""

from sora_async.sandbox.command import serve

if __name__ == "__main__":  # pragma: no branch
    raise SystemExit(serve())
