"""The character operation."""

import pytest


async def test_character_is_answered_at_once(visit):
    """A character comes with a name and a page on the sandbox, and is listed."""
    visitor = await visit()
    answer = (await visitor.character(timestamps="1,3", url="https://example.invalid/cat.mp4")).json
    assert set(answer) == {"id", "username", "permalink", "profile_picture_url"}
    assert answer["permalink"] == f"{visitor.sandbox.url}/profile/{answer['username']}"
    assert [made.id for made in visitor.sandbox.characters] == [answer["id"]]


async def test_character_can_come_from_a_task(visit):
    """A finished task is named by its id."""
    visitor = await visit()
    task_id = (await visitor.create()).json["id"]
    assert (await visitor.character(timestamps="0,1.5", from_task=task_id)).status == 200
    refused = await visitor.character(timestamps="0,1.5", from_task="none")
    assert (refused.status, refused.json["error"]["code"]) == (400, "task_not_exist")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timestamps": "1,3", "url": "u", "model": "sora-2"}, "model: not allowed"),
        ({"timestamps": "1,1.5", "url": "u"}, "timestamps: expected"),
        ({"timestamps": "1,5", "url": "u"}, "timestamps: expected"),
        ({"timestamps": "-1,1", "url": "u"}, "timestamps: expected"),
        ({"timestamps": "a,b", "url": "u"}, "timestamps: expected"),
        ({"timestamps": "1", "url": "u"}, "timestamps: expected"),
        ({"timestamps": 13, "url": "u"}, "timestamps: expected"),
        ({"url": "u"}, "timestamps: expected"),
        ({"timestamps": "1,3"}, "exactly one"),
        ({"timestamps": "1,3", "url": "u", "from_task": "t"}, "exactly one"),
        ({"timestamps": "1,3", "url": 1}, "url: expected a string"),
    ],
)
async def test_character_with_wrong_fields_is_refused(visit, fields, message):
    """A 422 says which field is at fault."""
    visitor = await visit()
    answer = await visitor.character(**fields)
    assert answer.status == 422
    assert message in answer.json["error"]["message"]
    assert visitor.sandbox.characters == []


async def test_character_body_that_is_not_json_is_400(visit):
    """The body is read as strictly as that of a create."""
    visitor = await visit()
    assert (await visitor.request("POST", "/sora/v1/characters", data=b"{")).status == 400
