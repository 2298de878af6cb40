"""Where a run speaks: its results on stdout, all the rest on stderr."""

from __future__ import annotations

import json
from typing import Any

from sora_async import Downloaded, Event
from sora_async.cli.failures import Failure
from sora_async.cli.screen import Lines, Pause, open_screen
from sora_async.cli.wording import Result, event_facts

JSON_INTERVAL_S = 0.5


class Output:
    """What a run says.

    Args:
        is_json: whether stdout gets one JSON object for each event, for programs; else it gets the result alone.
        screen: what people see; None chooses one that suits stderr.
    """

    def __init__(self, *, is_json: bool, screen: Lines | None = None) -> None:
        self._is_json = is_json
        self._screen = screen or open_screen(stdout_is_taken=is_json)
        self._pause = Pause(JSON_INTERVAL_S)

    def working(self, what: str) -> None:
        """Tell that something began that may take long."""
        self._screen.working(what)

    def heard(self, event: Event) -> None:
        """Tell an event of the client."""
        is_chunk = isinstance(event, Downloaded) and event.received != event.total
        facts = event_facts(event)
        if self._is_json and facts is not None and not (is_chunk and not self._pause.over()):
            self.fact(facts, "")
        self._screen.heard(event)

    def note(self, text: str) -> None:
        """Tell something to people only."""
        self._screen.note(text)

    def fact(self, facts: dict[str, Any], text: str) -> None:
        """Tell a result: to programs as an object, to people as text, "" for nothing."""
        if self._is_json or text:
            self._screen.result(json.dumps(facts) if self._is_json else text)

    def done(self, result: Result) -> None:
        """Tell a good end."""
        self.close()
        if result.note:
            self.note(result.note)
        self.fact({"event": "done", **result.facts}, result.text)

    def failed(self, failure: Failure) -> None:
        """Tell a bad end."""
        self.close()
        if self._is_json:
            self.fact(failure.facts(), "")
        self.note(f"error: {failure.message}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._screen.close()
