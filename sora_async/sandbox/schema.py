"""Checks a create body against the published schema."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType

PUBLISHED_REQUIRED = ("images", "model", "orientation", "prompt", "size", "duration", "watermark")
# The pages mark all seven as required, yet relays take creates that have only these.
REALLY_REQUIRED = ("model", "prompt")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_watermark(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value in {"true", "false"})


FIELDS: Mapping[str, tuple[str, Callable[[object], bool]]] = MappingProxyType(
    {
        "images": ("an array of strings", _is_texts),
        "model": ("a string", _is_text),
        "orientation": ("a string", _is_text),
        "prompt": ("a string", _is_text),
        "size": ("a string", _is_text),
        "duration": ("an integer", _is_integer),
        "watermark": ('true, false, "true" or "false"', _is_watermark),
    }
)
"""What each published field must be, in words and as a check."""


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def read_json(body: bytes) -> object:
    """Read strict JSON.

    Raises:
        ValueError: It is not JSON: broken, not UTF-8, nested too deeply, or with NaN or Infinity in it.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def find_faults(body: Mapping[str, object], *, strict: bool) -> list[str]:
    """Name every field at fault and what was expected; an empty list is a valid create."""
    required = PUBLISHED_REQUIRED if strict else REALLY_REQUIRED
    faults = []
    for name, (expected, is_valid) in FIELDS.items():
        if name not in body:
            if name in required:
                faults.append(f"{name}: missing, expected {expected}")
        elif not is_valid(body[name]):
            faults.append(f"{name}: expected {expected}, got {shown(body[name])}")
    return faults


def shown(value: object) -> str:
    """Show a JSON value in at most 43 characters."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
