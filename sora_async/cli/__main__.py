"""`python -m sora_async.cli` is the command `sora-async`."""

from sora_async.cli import main

if __name__ == "__main__":
    main()
