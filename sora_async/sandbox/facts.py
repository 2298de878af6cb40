"""What a dialect has to tell: the facts of one task, and of one refusal."""

import enum

import attrs


class Phase(enum.Enum):
    """Where a task really is, whatever word a dialect shows for it."""

    UNFINISHED = "unfinished"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class TaskFacts:
    """One task at one moment."""

    task_id: str
    """The id that create gave."""
    model: str
    """The model as the create named it."""
    prompt: str
    """The prompt as the create gave it."""
    phase: Phase
    """Whether and how it ended."""
    word: str
    """The status word to show."""
    progress: float | None
    """Share done, 0 to 1; None is not shown."""
    video_url: str | None
    """A fresh link to the result; None while there is none."""
    failure: str | None
    """Why it failed; None unless it did."""
    created_s: float
    """Unix time of the create, in seconds."""
    updated_s: float
    """Unix time of the last change, in seconds."""

    @property
    def percent(self) -> int | None:
        """The progress as a whole number, 0 to 100, or None."""
        return None if self.progress is None else int(self.progress * 100)


@attrs.frozen(kw_only=True)
class Refusal:
    """Why a call was not carried out."""

    status: int
    """The HTTP status."""
    code: str
    """The machine-readable reason."""
    message: str
    """The text for people."""
    kind: str = "new_api_error"
    """The `type` of the nested shape."""
    retry_after_s: float | None = None
    """Seconds in `Retry-After`; None sends no such header."""
