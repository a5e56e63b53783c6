"""The driver's side: jobs go to warm workers, what comes back is told, and what goes wrong is put right.

Each pool has a queue. A worker has one call at a time, of one job or of those that go together, so that whoever is free
takes the next; jobs that are shorter than the way to a worker and back are sent ahead.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from animate3d.cluster.jobs import Event, Job, Limits, Pool
from animate3d.cluster.staff import Hand, Staff, node_died, room
from animate3d.cluster.worker import Outcome
from animate3d.errors import InputError

_SHORT = 0.02  # seconds; of jobs that are sent ahead
_AHEAD = 32  # calls that are sent ahead
_PILE = 8  # jobs per worker that may wait between two stages before no new ones are begun
_MOVES = 5  # lost machines that a job survives; one that takes them down itself must end
_TICK = 0.2  # seconds between two looks at the clock

Tell = Callable[[Event], None]


def run_jobs(
    jobs: Iterable[Job],
    pools: Sequence[Pool],
    limits: Limits | None = None,
    tell: Tell = lambda event: None,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Do all jobs; Ray is connected (`animate3d.cluster.joined`).

    Args:
        pools: of the workers that the jobs' stages name.
        tell: what happens to each job: running, waiting (again, or for its next stage), done or failed.
        tick: called several times a second.

    Raises:
        InputError: no machine has room for a worker.
        Animate3DError: the workers cannot start.
    """
    engine = _Engine(pools, limits or Limits(), tell, tick)
    try:
        engine.take(jobs)
        while engine.open:
            engine.go_on()
    finally:
        engine.staff.end()


def each_job(jobs: Sequence[Job], pools: Sequence[Pool]) -> Iterator[Event]:
    """Do all jobs; yields how each has ended, when it does."""
    engine = _Engine(pools, Limits(), lambda event: ended.append(event), lambda: None)
    ended: list[Event] = []
    try:
        engine.take(jobs)
        while engine.open:
            engine.go_on()
            yield from (event for event in ended if event.state in ("done", "failed"))
            ended.clear()
    finally:
        engine.staff.end()


class Pace:
    """How fast the jobs of a pool are: they are short once many were, and long as soon as one is."""

    def __init__(self) -> None:
        self._seconds = 1.0

    def note(self, outcome: Outcome) -> None:
        """A job has ended; one that failed at once says nothing of the others."""
        if outcome.error is None:
            self._seconds = max(outcome.seconds, 0.8 * self._seconds + 0.2 * outcome.seconds)

    @property
    def short(self) -> bool:
        """Whether the way to a worker takes longer than a job, so that jobs are sent ahead."""
        return self._seconds < _SHORT


class _Engine:
    def __init__(self, pools: Sequence[Pool], limits: Limits, tell: Tell, tick: Callable[[], None]) -> None:
        self.staff = Staff(pools)
        self.ray = self.staff.ray
        self.limits, self.tell, self.tick = limits, tell, tick
        self.queues: dict[str, deque[Job]] = {pool.name: deque() for pool in pools}
        self.open = 0  # jobs that have not ended
        self.pace = {pool.name: Pace() for pool in pools}
        self._check_room(pools)

    def _check_room(self, pools: Sequence[Pool]) -> None:
        places = room(self.ray.nodes(), pools)
        for pool in pools:
            if pool.workers is None and not sum(places[pool.name]):
                need = f"{pool.cpus:g} CPUs" + (f" and {pool.gpus:g} GPUs" if pool.gpus else "")
                raise InputError(f"No machine has the {need} that a worker asks for; ask for less.")

    def take(self, jobs: Iterable[Job]) -> None:
        """These are to be done."""
        for job in jobs:
            self.queues[job.pool].append(job)
            self.open += 1

    def go_on(self) -> None:
        """One round: jobs go out, outcomes come back."""
        self.staff.adjust({name: len(queue) for name, queue in self.queues.items()})
        self._hand_out()
        self._collect()
        self._stop_overdue()
        self.tick()

    # Out

    def _hand_out(self) -> None:
        for name, queue in self.queues.items():
            short = self.pace[name].short and queue and queue[0].next.together == 1
            depth = _AHEAD if short else 1
            for hand in self.staff.hands[name]:
                while hand.ready is None and len(hand.calls) < depth and queue and not self._piled_up(queue[0]):
                    self._send(hand, self._next(queue, len(self.staff.hands[name])))

    def _piled_up(self, job: Job) -> bool:
        """Whether so many jobs wait for a later stage that no new one is to be begun."""
        if job.stage:
            return False
        later = {stage.pool for stage in job.stages[1:]} - {job.pool}
        return any(len(self.queues[name]) > _PILE * max(1, len(self.staff.hands[name])) for name in later)

    def _next(self, queue: deque[Job], hands: int) -> tuple[Job, ...]:
        """The first of a queue, and those behind it that go into one call; some are left for every worker."""
        most = min(queue[0].next.together, math.ceil(len(queue) / max(1, hands)))
        group = [queue.popleft()]
        while len(group) < most and queue and queue[0].next == group[0].next and not (group[0].alone or queue[0].alone):
            group.append(queue.popleft())
        return tuple(group)

    def _send(self, hand: Hand, jobs: tuple[Job, ...]) -> None:
        stage = jobs[0].next
        if stage.together > 1:
            reference = hand.actor.do_together.remote(stage.work, [job.payload for job in jobs])
        else:
            reference = hand.actor.do.remote(stage.work, jobs[0].payload)
        hand.calls.append((reference, jobs))
        if len(hand.calls) == 1:
            hand.begin()
        for job in jobs:
            self.tell(Event(job, "running", seconds=job.seconds, node=hand.node))

    # Back

    def _collect(self) -> None:
        waited = {}
        for hands in self.staff.hands.values():
            for hand in hands:
                if hand.ready is not None:
                    waited[hand.ready] = hand
                waited.update(dict.fromkeys((reference for reference, _ in hand.calls), hand))
        if not waited:
            time.sleep(_TICK)
            return
        references = list(waited)
        if not self.ray.wait(references, num_returns=1, timeout=_TICK)[0]:
            return
        done = set(self.ray.wait(references, num_returns=len(references), timeout=0)[0])
        for hand in dict.fromkeys(waited[reference] for reference in done):
            self._hear(hand, done)

    def _hear(self, hand: Hand, done: Container[object]) -> None:
        """Take what a worker has done, in the order in which it was sent."""
        try:
            if hand.ready in done:
                self.staff.settled(hand, self.ray.get(hand.ready))
            while hand.calls and hand.calls[0][0] in done:
                outcomes = self._outcomes(*hand.calls[0])
                _, jobs = hand.calls.popleft()
                hand.begin()
                for job, outcome in zip(jobs, outcomes, strict=True):
                    self._note(hand, job, outcome)
        except self.ray.exceptions.RayError as error:
            self._lose(hand, error)

    def _outcomes(self, reference: object, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            found: Outcome | list[Outcome] = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:  # the work or its payload could not be read there
            last = str(error.cause).strip().rpartition("\n")[2]
            return [Outcome(error=f"The worker cannot take the job: {last}", again=True)] * len(jobs)
        return found if isinstance(found, list) else [found]

    def _note(self, hand: Hand, job: Job, outcome: Outcome) -> None:
        job.seconds += outcome.seconds
        name = hand.pool.name
        self.pace[name].note(outcome)
        if outcome.error is not None:
            self._fail(job, outcome.error, outcome.again, hand.node)
        elif job.stage + 1 < len(job.stages):
            job.stage += 1
            queue = self.queues[job.pool]
            (queue.appendleft if job.pool == name else queue.append)(job)  # what was begun in a pool is ended first
            self.tell(Event(job, "waiting", outcome.facts, seconds=job.seconds, node=hand.node))
        else:
            self.open -= 1
            self.tell(Event(job, "done", outcome.facts, seconds=job.seconds, node=hand.node))

    def _fail(self, job: Job, sentence: str, again: bool, node: str) -> None:
        job.attempts += 1
        if again and job.attempts <= self.limits.retries:
            self.queues[job.pool].append(job)
            self.tell(Event(job, "waiting", error=sentence, seconds=job.seconds, node=node))
        else:
            self.open -= 1
            self.tell(Event(job, "failed", error=sentence, seconds=job.seconds, node=node))

    # What goes wrong

    def _lose(self, hand: Hand, error: Exception) -> None:
        """A worker has ended: the job that it was at has failed, those behind it have not begun."""
        if hand.ready is not None:
            self.staff.stillborn(hand, error)
            return
        self.staff.hands[hand.pool.name].remove(hand)
        (_, jobs), *behind = hand.calls
        if behind or len(jobs) > 1:  # the last outcomes may be lost with it: nobody is blamed, they go one by one
            self._put_back(jobs, *(later for _, later in behind), alone=True)
            if behind:
                self.pace[hand.pool.name] = Pace()
            return
        (job,) = jobs
        if node_died(error) and job.moves < _MOVES:
            job.moves += 1
            self._put_back([job])
            self.tell(Event(job, "waiting", error="Its machine was lost.", seconds=job.seconds, node=hand.node))
            return
        memory = isinstance(error, self.ray.exceptions.OutOfMemoryError)
        why = "its machine ran out of memory" if memory else "it crashed"
        self._fail(job, f"The worker process ended while at this job: {why}.", not memory, hand.node)

    def _put_back(self, *calls: Iterable[Job], alone: bool = False) -> None:
        for job in reversed([job for call in calls for job in call]):
            job.alone = job.alone or alone
            self.queues[job.pool].appendleft(job)

    def _stop_overdue(self) -> None:
        if self.limits.timeout is None:
            return
        now = time.monotonic()
        for hands in self.staff.hands.values():
            for hand in [hand for hand in hands if hand.calls]:
                (_, jobs), *behind = hand.calls
                if max(job.seconds for job in jobs) + now - hand.since <= self.limits.timeout:
                    continue
                self.staff.dismiss(hand)
                self._put_back(*(later for _, later in behind))
                if len(jobs) > 1:  # one of them may hang: each has its time alone
                    self._put_back(jobs, alone=True)
                    continue
                (job,) = jobs
                job.seconds += now - hand.since
                self._fail(job, f"It took longer than {self.limits.timeout:g} s (--timeout).", False, hand.node)
