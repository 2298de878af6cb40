"""The create operation."""

import io
import json

import pytest

FULL = {"images": [], "orientation": "portrait", "size": "small", "duration": 10, "watermark": False}


async def test_create_valid_is_accepted_and_counted(visit):
    """An accepted create is listed with its id and its body."""
    visitor = await visit()
    answer = await visitor.create(**FULL)
    assert answer.status == 200
    assert visitor.sandbox.creates == [
        (answer.json["id"], {"model": "sora-2-all", "prompt": "a cat", **FULL}),
    ]


async def test_create_answer_has_the_published_fields(visit):
    """The plain dialect answers id, status and milliseconds, and nothing else."""
    visitor = await visit(takes_s=5)
    answer = (await visitor.create()).json
    assert answer == {"id": answer["id"], "status": "pending", "status_update_time": 1_760_000_000_000}


async def test_create_with_unknown_fields_is_accepted(visit):
    """Fields of other model families pass through."""
    visitor = await visit()
    assert (await visitor.create(aspect_ratio="16:9", enhance_prompt=True)).status == 200
    assert visitor.sandbox.creates[0].body["aspect_ratio"] == "16:9"


async def test_create_with_wrong_types_names_every_field(visit):
    """A 422 names each field at fault and what was expected."""
    visitor = await visit()
    answer = await visitor.create(images="x.png", duration="10", watermark="no", size=None, orientation=1)
    error = answer.json["error"]
    assert answer.status == 422
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    for name in ("images", "duration", "watermark", "size", "orientation"):
        assert f"{name}: expected" in error["message"]
    assert visitor.sandbox.creates == []


async def test_create_strict_requires_all_seven_fields(visit):
    """A strict relay takes what the page marks as required."""
    visitor = await visit(strict=True)
    refused = await visitor.create(**{**FULL, "size": "large"} | {"watermark": None})
    assert refused.status == 422
    assert (await visitor.create()).json["error"]["message"].startswith("images: missing")
    assert (await visitor.create(**FULL)).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xff", b"[" * 100_000, b'{"a": NaN}', b"1" * 5000])
async def test_create_body_that_is_not_json_is_400(visit, body):
    """What cannot be read as strict JSON is a bad request, never a crash."""
    visitor = await visit()
    answer = await visitor.request("POST", "/v1/video/create", data=body)
    assert answer.status == 400
    assert "not JSON" in answer.json["error"]["message"]


async def test_create_body_that_is_no_object_is_422(visit):
    """JSON of another kind than an object is named as such."""
    visitor = await visit()
    answer = await visitor.request("POST", "/v1/video/create", json=["a cat"])
    assert (answer.status, answer.json["error"]["message"]) == (422, "body: expected a JSON object")


@pytest.mark.parametrize("chunked", [False, True])
async def test_create_body_above_the_limit_is_413(visit, chunked):
    """A body above 32 MiB is refused, with and without a length."""
    visitor = await visit()

    async def pieces():
        for _ in range(33):
            yield b" " * 2**20

    data = pieces() if chunked else io.BytesIO(b" " * (2**25 + 1))
    answer = await visitor.request("POST", "/v1/video/create", data=data)
    assert (answer.status, answer.json["error"]["code"]) == (413, "read_request_body_failed")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  ", "Basic abc", "Bearer wrong"])
async def test_create_with_a_bad_key_is_401(visit, header):
    """Only the scenario's key is let in, as a bearer token."""
    visitor = await visit(api_key="right")
    answer = await visitor.request("POST", "/v1/video/create", json={}, headers={"Authorization": header})
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")


async def test_create_with_the_right_key_is_let_in(visit):
    """The scenario's own key works."""
    visitor = await visit(api_key="right")
    body = json.dumps({"model": "m", "prompt": "p"})
    headers = {"Authorization": "Bearer right"}
    answer = await visitor.request("POST", "/v1/video/create", data=body, headers=headers)
    assert answer.status == 200


async def test_create_above_the_rate_limit_is_429_until_time_passes(visit):
    """The limit lets a burst of one second through, then refills with the clock."""
    visitor = await visit(rate_limit=2)
    statuses = [(await visitor.create()).status for _ in range(3)]
    visitor.clock.advance(0.5)
    assert [*statuses, (await visitor.create()).status] == [200, 200, 429, 200]
    assert len(visitor.sandbox.creates) == 3


@pytest.mark.parametrize(("retry_after_s", "header"), [(None, None), (7, "7"), (0.5, "0.5")])
async def test_create_above_the_rate_limit_says_when_only_if_told_to(visit, retry_after_s, header):
    """A 429 carries Retry-After only in a scenario that gives it."""
    visitor = await visit(rate_limit=1, retry_after_s=retry_after_s)
    await visitor.create()
    answer = await visitor.create()
    assert (answer.status, answer.headers.get("Retry-After")) == (429, header)


async def test_create_finished_at_once_carries_its_link(visit):
    """A relay may answer the create with a finished task."""
    visitor = await visit(finished_at_create=True)
    answer = (await visitor.create()).json
    assert answer["status"] == "completed"
    assert answer["video_url"].startswith(visitor.sandbox.url)


async def test_create_of_a_slow_task_does_not_answer_finished(visit):
    """A task that still takes time starts with the first word even where others finish at once."""
    visitor = await visit(finished_at_create=True, takes_s=1)
    assert (await visitor.create()).json["status"] == "pending"
