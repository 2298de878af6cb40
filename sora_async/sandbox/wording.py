"""The words of the dialects: pure functions from the facts of a task to a JSON body.

Healthy answers carry the decoys that real ones do: empty errors, stale texts of retried attempts, a second id,
an inner status that disagrees, empty places where a link could be.
"""

import datetime as dt
import uuid

from sora_async.sandbox.facts import Phase, TaskFacts

Body = dict[str, object]
STALE_TEXT = "attempt 1: upstream closed the stream"
BEIJING = dt.timezone(dt.timedelta(hours=8))


def _other_id(facts: TaskFacts) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, repr(facts.task_id)))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _iso(seconds: float, zone: dt.timezone, ending: str) -> str:
    moment = dt.datetime.fromtimestamp(seconds, zone)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + ending


def sora_created(facts: TaskFacts) -> Body:
    """Answer a create in the flat published shape, times in milliseconds."""
    return {
        "id": facts.task_id,
        "status": facts.word,
        "status_update_time": _milliseconds(facts.updated_s),
        **({"video_url": facts.video_url} if facts.video_url else {}),
    }


def sora_queried(facts: TaskFacts) -> Body:
    """Answer a query in the flat published shape, times in milliseconds."""
    return {
        "id": facts.task_id,
        "status": facts.word,
        "video_url": facts.video_url,
        "enhanced_prompt": facts.prompt,
        "status_update_time": _milliseconds(facts.updated_s),
        "progress": facts.percent,
        "thumbnail_url": None,
        "gif_url": None,
        "error": {"message": facts.failure, "code": "generation_failed"} if facts.failure else None,
    }


def wrapped_created(facts: TaskFacts) -> Body:
    """Answer a create inside `data`, with the upstream body in `data.data`."""
    data = {"task_id": facts.task_id, "status": facts.word, "fail_reason": facts.video_url or ""}
    return {"code": "success", "message": "", "data": data}


def wrapped_queried(facts: TaskFacts) -> Body:
    """Answer a query inside `data`, with the upstream body in `data.data`."""
    unfinished = facts.phase is Phase.UNFINISHED
    inner = {"id": _other_id(facts), "status": "in_progress", "progress": facts.percent, "error": None}
    data = {
        "task_id": facts.task_id,
        "action": "generate",
        "status": facts.word,
        # Old gateways keep the link of a success where the reason of a failure goes.
        "fail_reason": facts.failure or facts.video_url or "",
        "submit_time": int(facts.created_s),
        "finish_time": 0 if unfinished else int(facts.updated_s),
        "progress": None if facts.percent is None else f"{facts.percent}%",
        "data": inner,
    }
    return {"code": "success", "message": "", "data": data}


def detail_created(facts: TaskFacts) -> Body:
    """Answer a create with everything but the id inside `detail`."""
    return {"id": facts.task_id, "detail": _detail(facts)}


def detail_queried(facts: TaskFacts) -> Body:
    """Answer a query with everything but the id inside `detail`."""
    return {
        "id": facts.task_id,
        "video_url": "",
        "status_update_time": _milliseconds(facts.updated_s),
        "detail": _detail(facts),
    }


def _detail(facts: TaskFacts) -> Body:
    return {
        "id": facts.task_id.removeprefix("sora:"),
        "status": facts.word,
        "prompt": facts.prompt,
        "progress_pct": facts.progress,
        "pending_info": None if facts.progress is None else {"progress_pct": facts.progress},
        "failure_reason": facts.failure or STALE_TEXT,
        "draft_info": {"downloadable_url": None, "url": ""},
        "generations": [{"url": f" `{facts.video_url}` "}] if facts.video_url else [],
    }


def veo_created(facts: TaskFacts) -> Body:
    """Answer a create with the link in `detail.upsample_video_url`, times in seconds."""
    return {
        "id": facts.task_id,
        "status": facts.word,
        "status_update_time": int(facts.updated_s),
        "detail": {"upsample_video_url": facts.video_url or ""},
    }


def veo_queried(facts: TaskFacts) -> Body:
    """Answer a query with the link in `detail.upsample_video_url`, times in seconds."""
    detail = {
        "status": facts.word,
        "upsample_video_url": facts.video_url or "",
        "video_generation_error": facts.failure,
        "error_message": facts.failure or STALE_TEXT,
        "enhanced_prompt": facts.prompt,
    }
    return {
        "id": facts.task_id,
        "status": facts.word,
        "video_url": None,
        "percentage": facts.percent,
        "status_update_time": int(facts.updated_s),
        "error": None,
        "detail": detail,
    }


def grok_created(facts: TaskFacts) -> Body:
    """Answer a create in the flat shape, times in seconds."""
    return {**sora_created(facts), "status_update_time": int(facts.updated_s)}


def grok_queried(facts: TaskFacts) -> Body:
    """Answer a query with another id than create gave, the progress as text."""
    return {
        "id": _other_id(facts),
        "status": facts.word,
        "video_url": facts.video_url,
        "enhanced_prompt": "",
        "progress": None if facts.percent is None else str(facts.percent),
        "status_update_time": int(facts.updated_s),
        "created_at": facts.created_s,
        "error": facts.failure or {"message": "", "code": ""},
    }


def openai_created(facts: TaskFacts) -> Body:
    """Answer a create with two ids, of which `id` is the one to poll with."""
    return {**openai_queried(facts), "created_at": int(facts.created_s), "task_id": _other_id(facts)}


def openai_queried(facts: TaskFacts) -> Body:
    """Answer a query with the link in `video.url`, times in ISO 8601."""
    error = {"code": "content_policy_violation", "message": facts.failure, "message_zh": ""}
    return {
        "id": facts.task_id,
        "object": "video",
        "model": facts.model,
        "status": facts.word,
        "progress": facts.percent,
        "created_at": _iso(facts.created_s, dt.UTC, "Z"),
        "completed_at": None if facts.phase is Phase.UNFINISHED else _iso(facts.updated_s, BEIJING, "000+08:00"),
        "output": [],
        "video": {"url": facts.video_url},
        "error": error if facts.failure else None,
    }


def data_string_created(facts: TaskFacts) -> Body:
    """Answer a create with the id as a bare string in `data`."""
    return {"code": 200, "message": "ok", "data": facts.task_id}


def data_string_queried(facts: TaskFacts) -> Body:
    """Answer a query inside `data`, with the link in a list in `data.output`."""
    data = {
        "task_id": facts.task_id,
        "status": facts.word,
        "progress": None if facts.percent is None else str(facts.percent),
        "output": [facts.video_url] if facts.video_url else [],
        "failure_reason": facts.failure or "",
        "created_at": _iso(facts.created_s, dt.UTC, "000Z"),
        "completed_at": 0,
    }
    return {"code": "0", "message": "success", "data": data}
