"""The schema check, for any body whatever."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sora_async.sandbox import Sandbox, Scenario
from sora_async.sandbox.operations import Call, Operations
from sora_async.sandbox.relay import Relay
from sora_async.sandbox.schema import FIELDS, find_faults, read_json, shown

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
BODIES = VALUES | st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(max_size=5), VALUES, max_size=8)


def answer(raw: bytes, dialect: str = "sora"):
    scenario = Scenario(clip=b"", takes_s=0, dialect=dialect)
    relay = Relay(scenario, seed=0, clock=lambda: 0.0, started_s=0.0)
    call = Call(operation="create", location="/", authorization="Bearer x", task_id=None, body=raw)
    return Operations(relay, lambda: 0.0).answer(call, None), relay


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(BODIES)
def test_schema_any_json_is_accepted_or_refused(body):
    """Any JSON body is taken or refused, never a crash, and only a taken one is billed."""
    reply, relay = answer(json.dumps(body).encode(), "veo")
    assert reply.status in {200, 400, 422}
    assert (reply.status == 200) is (len(relay.creates) == 1)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_schema_any_bytes_are_refused_or_accepted(raw):
    """Any bytes are taken or refused, never a crash."""
    assert answer(raw)[0].status in {200, 400, 422}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
def test_schema_holds_over_http(body):
    """The real server answers any JSON body as the pure check does."""

    async def ask() -> int:
        import aiohttp

        async with Sandbox(Scenario(clip=b"")) as sandbox, aiohttp.ClientSession() as session:
            headers = {"Authorization": "Bearer x"}
            url = sandbox.url + "/v1/video/create"
            async with session.post(url, data=json.dumps(body).encode(), headers=headers) as response:
                return response.status

    assert asyncio.run(ask()) == answer(json.dumps(body).encode())[0].status


@pytest.mark.parametrize("watermark", [True, False, "true", "false"])
def test_schema_takes_a_watermark_in_either_form(watermark):
    """The page says text, its examples say bool: both are taken."""
    assert find_faults({"model": "m", "prompt": "p", "watermark": watermark}, strict=False) == []


@pytest.mark.parametrize("duration", [True, 10.0, "10", None])
def test_schema_takes_only_integers_as_duration(duration):
    """Neither a bool nor a float is an integer."""
    faults = find_faults({"model": "m", "prompt": "p", "duration": duration}, strict=False)
    assert faults == [f"duration: expected an integer, got {json.dumps(duration)}"]


def test_schema_names_images_that_are_not_texts():
    """Each item of images must be a string."""
    assert find_faults({"model": "m", "prompt": "p", "images": [1]}, strict=False) == [
        "images: expected an array of strings, got [1]"
    ]


def test_schema_requires_all_seven_only_when_strict():
    """Clients that send only model and prompt get ids from real relays."""
    body = {"model": "m", "prompt": "p"}
    assert find_faults(body, strict=False) == []
    assert len(find_faults(body, strict=True)) == 5


def test_schema_shows_long_values_shortened():
    """A message stays short whatever was sent."""
    assert len(shown("x" * 1000)) == 43


def test_read_json_refuses_what_is_not_strict_json():
    """Infinity is not JSON."""
    with pytest.raises(ValueError, match="Infinity is not JSON"):
        read_json(b"[Infinity]")
