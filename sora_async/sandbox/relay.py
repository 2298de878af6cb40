"""The relay itself, without HTTP: its tasks, what it accepts, and what it answers."""

from collections.abc import Callable, Mapping
from random import Random

import attrs

from sora_async.sandbox.dialects import DIALECTS
from sora_async.sandbox.facts import Phase, TaskFacts
from sora_async.sandbox.links import LinkSigner
from sora_async.sandbox.records import Created, Task
from sora_async.sandbox.scenario import Scenario
from sora_async.sandbox.studio import Studio

UNKNOWN_WORD = "reticulating_splines"


class Relay:
    """Keeps the tasks; their state follows from the clock, so nothing runs for a task."""

    def __init__(self, scenario: Scenario, *, seed: int, clock: Callable[[], float], started_s: float) -> None:
        self.scenario = scenario
        self.dialect = DIALECTS[scenario.dialect]
        self.random = Random(f"{seed}/relay")  # noqa: S311  (reproducible on purpose)
        self.links = LinkSigner(base_url="", key=self.random.randbytes(32))
        self.creates: list[Created] = []
        self._clock = clock
        self._wall_offset_s = started_s - clock()
        self.studio: Studio | None = None
        self._tasks: dict[str, Task] = {}
        self._by_token: dict[str, Task] = {}

    def wall_s(self) -> float:
        """Give the Unix time in seconds, as the sandbox's clock has it."""
        return self._clock() + self._wall_offset_s

    def accept(self, body: Mapping[str, object]) -> Task:
        """Take a valid create: from here on it counts as billed."""
        scenario, random = self.scenario, self.random
        task = Task(
            task_id=self.dialect.new_id(random, str(body["model"]), self.wall_s()),
            token=f"{random.getrandbits(128):032x}",
            body=body,
            created_at=self._clock(),
            takes_s=scenario.takes_s.draw(random),
            fails=random.random() < scenario.failure_rate,
            not_found_left=scenario.not_found_polls,
            missing_url_left=scenario.missing_url_polls,
        )
        if self.studio and not task.fails:
            task.job = self.studio.start(len(self.creates), body)
        self._tasks[task.task_id] = self._by_token[task.token] = task
        self.creates.append(Created(task.task_id, body))
        return task

    def find(self, task_id: str) -> Task | None:
        """Find a task by its id, or None; also None while a lagging replica does not have it."""
        task = self._tasks.get(task_id)
        if task and task.not_found_left > 0:
            task.not_found_left -= 1
            return None
        return task

    def find_by_token(self, token: str) -> Task | None:
        """Find a finished task by the token in its links."""
        task = self._by_token.get(token)
        return task if task and self._phase(task) is Phase.SUCCEEDED else None

    def ended_s(self, task: Task) -> float:
        """Give the Unix time at which a finished task ended."""
        rendered_at = task.job.ended_at if task.job and task.job.ended_at is not None else 0.0
        return max(task.created_at + task.takes_s, rendered_at) + self._wall_offset_s

    def created_facts(self, task: Task) -> TaskFacts:
        """Describe a task for the answer to its create."""
        if self.scenario.finished_at_create and self._phase(task) is not Phase.UNFINISHED:
            return self.facts(task)
        facts = self.facts(task, with_url=False)
        return attrs.evolve(
            facts, phase=Phase.UNFINISHED, word=self._words()[0], progress=self._shown(0.0), failure=None
        )

    def facts(self, task: Task, *, with_url: bool = True) -> TaskFacts:
        """Describe a task as it is now, with a fresh link if it has succeeded."""
        phase, fraction = self._phase(task), self._fraction(task)
        url = self._link(task) if with_url and phase is Phase.SUCCEEDED else None
        return TaskFacts(
            task_id=task.task_id,
            model=str(task.body["model"]),
            prompt=str(task.body["prompt"]),
            phase=phase,
            word=self._word(phase, fraction),
            progress=self._shown(fraction),
            video_url=url,
            failure=self._failure(task) if phase is Phase.FAILED else None,
            created_s=task.created_at + self._wall_offset_s,
            updated_s=self.wall_s() if phase is Phase.UNFINISHED else self.ended_s(task),
        )

    def unknown_word_facts(self, task: Task) -> TaskFacts:
        """Describe a task as running, with a status word that nobody knows."""
        facts = self.facts(task, with_url=False)
        return attrs.evolve(facts, phase=Phase.UNFINISHED, word=UNKNOWN_WORD, failure=None)

    def _link(self, task: Task) -> str | None:
        if task.missing_url_left > 0:
            task.missing_url_left -= 1
            return None
        return self.links.make(task.token, self.wall_s() + self.scenario.link_lifetime_s)

    def _fraction(self, task: Task) -> float:
        elapsed_s = self._clock() - task.created_at
        passed = 1.0 if elapsed_s >= task.takes_s else elapsed_s / task.takes_s
        rendered = 1.0 if task.job is None or task.job.ended_at is not None else min(task.job.progress, 0.99)
        return min(passed, rendered)

    def _phase(self, task: Task) -> Phase:
        if self._fraction(task) < 1:
            return Phase.UNFINISHED
        return Phase.FAILED if self._failure(task) else Phase.SUCCEEDED

    def _failure(self, task: Task) -> str | None:
        if task.fails:
            return self.scenario.failure_text
        return task.job.error if task.job else None

    def _words(self) -> tuple[str, ...]:
        return self.scenario.words or self.dialect.words

    def _word(self, phase: Phase, fraction: float) -> str:
        if phase is Phase.UNFINISHED:
            words = self._words()
            return words[min(int(fraction * len(words)), len(words) - 1)]
        return self.dialect.succeeded if phase is Phase.SUCCEEDED else self.dialect.failed

    def _shown(self, fraction: float) -> float | None:
        return fraction if self.scenario.reports_progress else None
