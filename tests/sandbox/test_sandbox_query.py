"""The query operation: how a task goes on."""

import pytest

from sora_async.sandbox import DIALECTS, Faults


async def test_query_follows_the_clock(visit):
    """Words and progress follow the share of the task's time that has passed."""
    visitor = await visit(takes_s=10, words=("queued", "image_downloading", "processing", "almost"))
    await visitor.create()
    seen = []
    for _ in range(5):
        answer = (await visitor.query()).json
        seen.append((answer["status"], answer["progress"], answer["video_url"] is None))
        visitor.clock.advance(2.5)
    assert seen == [
        ("queued", 0, True),
        ("image_downloading", 25, True),
        ("processing", 50, True),
        ("almost", 75, True),
        ("completed", 100, False),
    ]


async def test_query_without_progress_shows_none(visit):
    """A relay that reports no progress has null there."""
    visitor = await visit(takes_s=10, reports_progress=False)
    await visitor.create()
    assert (await visitor.query()).json["progress"] is None


async def test_query_of_a_failed_task_gives_the_reason(visit):
    """A task that is to fail runs first, then ends with the scenario's text and no link."""
    visitor = await visit(takes_s=10, failure_rate=1, failure_text="too unsafe")
    await visitor.create()
    assert (await visitor.query()).json["error"] is None
    visitor.clock.advance(10)
    answer = (await visitor.query()).json
    assert (answer["status"], answer["error"]["message"], answer["video_url"]) == ("failed", "too unsafe", None)


async def test_query_of_an_unknown_task_is_refused(visit):
    """An id that create never gave is an error of its own."""
    visitor = await visit()
    answer = await visitor.query("sora-2:task_none")
    assert (answer.status, answer.json["error"]["code"]) == (400, "task_not_exist")


@pytest.mark.parametrize("query", ["", "?id="])
async def test_query_without_an_id_is_400(visit, query):
    """A query has to say what for."""
    visitor = await visit()
    answer = await visitor.request("GET", "/v1/video/query" + query)
    assert (answer.status, answer.json["error"]["message"]) == (400, "id is required")


async def test_query_right_after_create_may_not_find_the_task(visit):
    """A lagging replica does not know the first queries of each task."""
    visitor = await visit(not_found_polls=2)
    await visitor.create()
    assert [(await visitor.query()).status for _ in range(3)] == [400, 400, 200]


async def test_query_of_a_finished_task_may_lack_its_link(visit):
    """The first completed answers come without a link where the scenario says so."""
    visitor = await visit(missing_url_polls=1)
    await visitor.create()
    first, second = (await visitor.query()).json, (await visitor.query()).json
    assert (first["status"], first["video_url"], second["status"]) == ("completed", None, "completed")
    assert second["video_url"]


async def test_query_of_a_finished_task_gives_a_fresh_link_each_time(visit):
    """No two answers carry the same link."""
    visitor = await visit()
    await visitor.create()
    assert (await visitor.query()).json["video_url"] != (await visitor.query()).json["video_url"]


async def test_query_finds_an_id_with_reserved_characters(visit):
    """An id made from a model with reserved characters survives being percent-encoded."""
    visitor = await visit(dialect="veo")
    created = (await visitor.create(model="a/b?c#d%e&f=g h+..")).json
    assert (await visitor.query(created["id"])).json["id"] == created["id"]


async def test_query_faults_of_its_own(visit):
    """A script can hide the task, show an unknown word, and hold back the link."""
    faults = Faults(query=["not_found", "unknown_word", "no_url", None])
    visitor = await visit(faults)
    await visitor.create()
    answers = [await visitor.query() for _ in range(4)]
    assert [answer.status for answer in answers] == [400, 200, 200, 200]
    assert answers[1].json["status"] == "reticulating_splines"
    assert [bool(answer.json["video_url"]) for answer in answers[1:]] == [False, False, True]


@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_query_in_every_dialect_answers_json(visit, name):
    """Every dialect has an answer for a running, a finished, a failed and an unknown task."""
    for failure_rate in (0, 1):
        visitor = await visit(dialect=name, takes_s=1, failure_rate=failure_rate)
        await visitor.create()
        running = (await visitor.query()).body
        visitor.clock.advance(1)
        ended = (await visitor.query()).body
        assert b"/cdn/" not in running
        assert (b"/cdn/" in ended) is (failure_rate == 0)
        assert (b"guardrails" in ended) is (failure_rate == 1)
        assert b"task_not_exist" in (await visitor.query("none")).body
