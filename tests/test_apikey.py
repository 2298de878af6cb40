"""The relay's key: what may be one, and that it is shown to nobody."""

from __future__ import annotations

import pickle

import pytest
from test_session import KEY

from sora_async.apikey import ApiKey


@pytest.mark.parametrize("key", ["", "  ", "two words", "tab\tinside", "schlüssel", "line\nbreak", "\0"])
def test_unusable_key_is_refused_without_showing_it(key: str) -> None:
    """It would break the header; the message tells where to get it."""
    with pytest.raises(ValueError, match=r"^the API key must be printable ASCII") as caught:
        ApiKey(key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("pasted", [KEY, f"  {KEY}\n", f"Bearer {KEY}"])
def test_key_is_cleaned_of_what_pasting_adds(pasted: str) -> None:
    """Files end in newlines, and consoles show whole headers."""
    assert ApiKey(pasted).header == {"Authorization": f"Bearer {KEY}"}


def test_key_shows_itself_to_nobody() -> None:
    """Not in text, not in pickle."""
    assert KEY not in repr(ApiKey(KEY))
    assert KEY not in str(ApiKey(KEY))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(ApiKey(KEY))


def test_key_says_that_it_is_one() -> None:
    """Where it is printed, and where it is pickled."""
    assert repr(ApiKey(KEY)) == "ApiKey('***')"
    with pytest.raises(TypeError, match=r"^an API key cannot be pickled"):
        pickle.dumps(ApiKey(KEY))


def test_fingerprint_tells_keys_apart() -> None:
    """Eight hex digits, the same for the same key however it was pasted."""
    assert ApiKey(KEY).fingerprint == ApiKey(f" {KEY}\n").fingerprint
    assert ApiKey(KEY).fingerprint != ApiKey("sk-other").fingerprint
    assert len(bytes.fromhex(ApiKey(KEY).fingerprint)) == 4


@pytest.mark.parametrize(("key", "shown"), [("sk-12345", "wrong key ***!"), ("sk-1234", "wrong key sk-1234!")])
def test_key_is_hidden_in_what_a_relay_repeats(key: str, shown: str) -> None:
    """Unless it is too short to be one: then it may be a part of any word."""
    assert ApiKey(key).hide(f"wrong key {key}!".encode()) == shown.encode()
