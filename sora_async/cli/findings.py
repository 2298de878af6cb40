"""What a check of the doctor answers."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from sora_async.cli.wording import clean


@attrs.frozen(kw_only=True)
class Finding:
    """One line of the doctor."""

    check: str
    """What was looked at."""
    level: Literal["ok", "warning", "problem"] = "ok"
    """How it is."""
    text: str
    """What was found."""
    advice: str | None = None
    """What to do about it."""

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "event": "check",
            "check": self.check,
            "level": self.level,
            "message": clean(self.text),
            "advice": self.advice,
        }

    def line(self) -> str:
        """For people."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.level:<7}  {self.check:<8}  {clean(self.text)}{advice}"
