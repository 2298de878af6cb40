"""The character operation: checks what it is sent, and names who comes out."""

from collections.abc import Mapping
from random import Random

from sora_async.sandbox.schema import shown

SHORTEST_SPAN_S = 1.0
LONGEST_SPAN_S = 3.0
FIRST_NAMES = ("amber", "basil", "cedar", "dahlia", "elm", "fern", "ginger", "hazel", "iris", "juniper")


def find_character_faults(body: Mapping[str, object]) -> list[str]:
    """Name every field at fault and what was expected; an empty list is a valid call."""
    faults = []
    if "model" in body:
        faults.append("model: not allowed in this call")
    if not _is_span(body.get("timestamps")):
        expected = '"start,end" in seconds that are 1 to 3 apart'
        faults.append(f"timestamps: expected {expected}, got {shown(body.get('timestamps'))}")
    sources = [name for name in ("url", "from_task") if body.get(name) is not None]
    if len(sources) != 1:
        faults.append("url, from_task: expected exactly one of them")
    faults += [f"{name}: expected a string" for name in sources if not isinstance(body[name], str)]
    return faults


def make_character(random: Random, base_url: str) -> dict[str, object]:
    """Make up a character, with links on the sandbox itself."""
    character_id = f"ch_{random.getrandbits(96):024x}"
    username = f"{random.choice(FIRST_NAMES)}.{random.randrange(10_000):04}"
    return {
        "id": character_id,
        "username": username,
        "permalink": f"{base_url}/profile/{username}",
        "profile_picture_url": None,
    }


def _is_span(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        start, end = (float(part) for part in value.split(","))
    except ValueError:
        return False
    return start >= 0 and SHORTEST_SPAN_S <= end - start <= LONGEST_SPAN_S
