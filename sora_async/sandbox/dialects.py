"""The relays that a sandbox can play: their ids, status words and answer shapes."""

import string
import uuid
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

import attrs

from sora_async.sandbox import wording
from sora_async.sandbox.facts import Refusal, TaskFacts
from sora_async.sandbox.wording import Body

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MODEL_LENGTH_IN_ID = 100


def nested_error(refusal: Refusal) -> tuple[int, Body]:
    """Give the `{"error": {...}}` shape."""
    error = {"message": refusal.message, "type": refusal.kind, "param": None, "code": refusal.code}
    return refusal.status, {"error": error}


def flat_error(refusal: Refusal) -> tuple[int, Body]:
    """Give the `{"code", "message", "data": null}` shape."""
    return refusal.status, {"code": refusal.code, "message": refusal.message, "data": None}


def flat_error_under_200(refusal: Refusal) -> tuple[int, Body]:
    """Give the flat shape, and hide an unknown task behind HTTP 200."""
    status, body = flat_error(refusal)
    return (200 if refusal.code == "task_not_exist" else status), body


@attrs.frozen(kw_only=True)
class Dialect:
    """One relay's way to answer."""

    words: tuple[str, ...]
    """Status words of an unfinished task, in the order in which they are shown."""
    succeeded: str
    """The status word of a finished task."""
    failed: str
    """The status word of a failed task."""
    new_id: Callable[[Random, str, float], str]
    """Makes a task id from a seeded generator, the model, and the Unix time in seconds."""
    created: Callable[[TaskFacts], Body]
    """Words the answer to a create."""
    queried: Callable[[TaskFacts], Body]
    """Words the answer to a query."""
    refused: Callable[[Refusal], tuple[int, Body]] = nested_error
    """Words a refusal, with the HTTP status to send it under."""


def _uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _pick(random: Random, alphabet: str, length: int) -> str:
    return "".join(random.choices(alphabet, k=length))


def _veo_id(random: Random, model: str, now_s: float) -> str:
    ending = _pick(random, string.ascii_letters + string.digits, 10)
    return f"{model[:MODEL_LENGTH_IN_ID]}:{int(now_s)}-{ending}"


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "sora": Dialect(
            words=("pending", "processing"),
            succeeded="completed",
            failed="failed",
            new_id=lambda random, _model, _now_s: f"sora-2:task_{_pick(random, CROCKFORD, 26)}",
            created=wording.sora_created,
            queried=wording.sora_queried,
        ),
        "wrapped": Dialect(
            words=("NOT_START", "SUBMITTED", "IN_PROGRESS"),
            succeeded="SUCCESS",
            failed="FAILURE",
            new_id=lambda random, _model, _now_s: f"task_{_pick(random, string.ascii_letters, 32)}",
            created=wording.wrapped_created,
            queried=wording.wrapped_queried,
            refused=flat_error,
        ),
        "detail": Dialect(
            words=("queued", "running"),
            succeeded="succeeded",
            failed="error",
            new_id=lambda random, _model, _now_s: f"sora:{_uuid(random)}",
            created=wording.detail_created,
            queried=wording.detail_queried,
        ),
        "veo": Dialect(
            words=(
                "pending",
                "image_downloading",
                "video_generating",
                "video_generation_completed",
                "video_upsampling",
            ),
            succeeded="completed",
            failed="video_generation_failed",
            new_id=_veo_id,
            created=wording.veo_created,
            queried=wording.veo_queried,
            refused=flat_error,
        ),
        "grok": Dialect(
            words=("pending", "processing"),
            succeeded="completed",
            failed="failed",
            new_id=lambda random, _model, _now_s: f"grok:{_uuid(random)}",
            created=wording.grok_created,
            queried=wording.grok_queried,
        ),
        "openai": Dialect(
            words=("queued", "in_progress"),
            succeeded="completed",
            failed="failed",
            new_id=lambda random, _model, _now_s: f"video_{_uuid(random)}",
            created=wording.openai_created,
            queried=wording.openai_queried,
        ),
        "data_string": Dialect(
            words=("created", "initializing", "generating"),
            succeeded="Done",
            failed="fail",
            new_id=lambda random, _model, _now_s: _uuid(random),
            created=wording.data_string_created,
            queried=wording.data_string_queried,
            refused=flat_error_under_200,
        ),
    }
)
"""Every relay by its name."""
