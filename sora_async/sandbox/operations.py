"""The three API operations, from a request that was read to an answer, faults included."""

from collections.abc import Callable, Mapping

import attrs

from sora_async.sandbox.breakage import TOO_MANY, Accepted, break_after, break_before, refuse
from sora_async.sandbox.bucket import Bucket
from sora_async.sandbox.characters import find_character_faults, make_character
from sora_async.sandbox.facts import Refusal
from sora_async.sandbox.records import Created
from sora_async.sandbox.relay import Relay
from sora_async.sandbox.reply import Answer, Reply, json_reply
from sora_async.sandbox.schema import find_faults, read_json

BAD_KEY = Refusal(status=401, code="invalid_api_key", message="无效的令牌 (request id: 20260101000000000000000sandbox)")
NO_TASK = Refusal(status=400, code="task_not_exist", message="task_not_exist")
NO_ID = Refusal(status=400, code="invalid_request", message="id is required", kind="invalid_request_error")
TOO_LARGE = Refusal(status=413, code="read_request_body_failed", message="request body too large")


@attrs.frozen(kw_only=True)
class Call:
    """One API request, read whole."""

    operation: str
    """`create`, `query` or `character`."""
    location: str
    """Its path and query, as sent."""
    authorization: str
    """The `Authorization` header, or an empty string."""
    task_id: str | None
    """The `id` of a query."""
    body: bytes | None
    """The body; None if it was larger than a relay reads."""


class Operations:
    """Carries out the calls on one relay."""

    def __init__(self, relay: Relay, clock: Callable[[], float]) -> None:
        self.characters: list[Created] = []
        self._relay = relay
        rate = relay.scenario.rate_limit
        self._bucket = None if rate is None else Bucket(rate, clock)
        self._carry_out: Mapping[str, Callable[[Call, str | None], Reply | Accepted]] = {
            "create": self._create,
            "query": self._query,
            "character": self._character,
        }

    def answer(self, call: Call, fault: str | None) -> Answer:
        """Answer a call, or spoil it: the fault says how, and whether it is carried out first."""
        broken = break_before(fault, self._relay.dialect, call.location)
        if broken is not None:
            return broken
        refusal = self._find_refusal(call)
        if refusal is not None:
            return refuse(self._relay.dialect, refusal)
        outcome = self._carry_out[call.operation](call, fault)
        return break_after(fault, outcome) if isinstance(outcome, Accepted) else outcome

    def _find_refusal(self, call: Call) -> Refusal | None:
        scheme, _, key = call.authorization.partition(" ")
        expected = self._relay.scenario.api_key
        if scheme.lower() != "bearer" or not key.strip() or (expected is not None and key != expected):
            return BAD_KEY
        if self._bucket and not self._bucket.take():
            return attrs.evolve(TOO_MANY, retry_after_s=self._relay.scenario.retry_after_s)
        return TOO_LARGE if call.body is None else None

    def _create(self, call: Call, _fault: str | None) -> Reply | Accepted:
        body = _read_object(call.body or b"")
        if isinstance(body, Reply):
            return body
        faults = find_faults(body, strict=self._relay.scenario.strict)
        if faults:
            return _invalid(422, "; ".join(faults))
        task = self._relay.accept(body)
        reply = json_reply(self._relay.dialect.created(self._relay.created_facts(task)))
        return Accepted(reply=reply, mark=task.task_id)

    def _query(self, call: Call, fault: str | None) -> Reply | Accepted:
        relay = self._relay
        if not call.task_id:
            return refuse(relay.dialect, NO_ID)
        task = None if fault == "not_found" else relay.find(call.task_id)
        if task is None:
            return refuse(relay.dialect, NO_TASK)
        facts = (
            relay.unknown_word_facts(task) if fault == "unknown_word" else relay.facts(task, with_url=fault != "no_url")
        )
        return Accepted(reply=json_reply(relay.dialect.queried(facts)), mark=task.task_id)

    def _character(self, call: Call, _fault: str | None) -> Reply | Accepted:
        body = _read_object(call.body or b"")
        if isinstance(body, Reply):
            return body
        faults = find_character_faults(body)
        if faults:
            return _invalid(422, "; ".join(faults))
        source = body.get("from_task")
        if source is not None and self._relay.find(str(source)) is None:
            return refuse(self._relay.dialect, NO_TASK)
        character = make_character(self._relay.random, self._relay.links.base_url)
        self.characters.append(Created(str(character["id"]), body))
        return Accepted(reply=json_reply(character), mark=str(character["id"]))


def _read_object(raw: bytes) -> Mapping[str, object] | Reply:
    try:
        body = read_json(raw)
    except ValueError as error:
        return _invalid(400, f"the body is not JSON: {error}")
    return body if isinstance(body, dict) else _invalid(422, "body: expected a JSON object")


def _invalid(status: int, message: str) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "code": "invalid_request"}
    return json_reply({"error": error}, status)
