"""What is to be done by whom: jobs with their stages, pools of workers, limits, and what happens to a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["running", "waiting", "done", "failed"]


@dataclass(frozen=True)
class Pool:
    """Workers that need the same.

    Attributes:
        cpus, gpus: what Ray reserves for each worker.
        workers: how many; None is as many as the machines have room for.
        memory: bytes that a worker may take on top of what it takes when it is warm; None is an equal share of its
            machine.
        warm: called once in every worker before its first job, e.g. to import what the jobs need.
    """

    name: str
    cpus: float = 1.0
    gpus: float = 0.0
    workers: int | None = None
    memory: int | None = None
    warm: Callable[[], object] | None = None


@dataclass(frozen=True)
class Stage:
    """A part of a job that runs in one pool.

    Attributes:
        work: a function of a module, called with the job's payload; what it returns are the facts of the stage.
        together: jobs that a worker may do in one call. If that is more than one, the work is called with a list of
            payloads, and returns for each its facts, or the exception that it ended with.
    """

    pool: str
    work: Callable[[Any], Any]
    together: int = 1


@dataclass
class Job:
    """Something to do, and how far it is.

    Attributes:
        key: its name, unlike that of every other job.
        payload: what its stages are called with; small, since it is sent to the worker.
        stages: one after the other, in pools that may differ.
        stage: the one that is next.
        attempts: that failed.
        moves: times that its machine was lost, which is not its fault.
        seconds: of all stages so far.
        alone: it goes into no call with others again, since one of them may have ended the worker.
    """

    key: str
    payload: Any
    stages: tuple[Stage, ...]
    stage: int = field(default=0, compare=False)
    attempts: int = field(default=0, compare=False)
    moves: int = field(default=0, compare=False)
    seconds: float = field(default=0.0, compare=False)
    alone: bool = field(default=False, compare=False)

    @property
    def next(self) -> Stage:
        """The stage that is next."""
        return self.stages[self.stage]

    @property
    def pool(self) -> str:
        """Of the next stage."""
        return self.next.pool


@dataclass(frozen=True)
class Limits:
    """When to give up a job.

    Attributes:
        retries: further attempts after one that failed for no fault of the input.
        timeout: seconds in all; None waits for ever.
    """

    retries: int = 1
    timeout: float | None = None


@dataclass(frozen=True)
class Event:
    """What has happened to a job.

    Attributes:
        facts: what its last stage returned.
        error: the sentence of a failure.
        seconds: of work so far.
        node: the machine.
    """

    job: Job
    state: State
    facts: Any = None
    error: str | None = None
    seconds: float = 0.0
    node: str = ""
