"""An embedded relay for trying things out and for tests: a real HTTP server that costs nothing."""

from sora_async.sandbox.command import serve
from sora_async.sandbox.dialects import DIALECTS
from sora_async.sandbox.faults import KINDS, Faults
from sora_async.sandbox.records import Created, Received
from sora_async.sandbox.scenario import Scenario
from sora_async.sandbox.server import Sandbox
from sora_async.sandbox.takes import Takes

__all__ = ["DIALECTS", "KINDS", "Created", "Faults", "Received", "Sandbox", "Scenario", "Takes", "serve"]
