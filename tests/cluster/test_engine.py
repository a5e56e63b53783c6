"""Jobs all end, good ones well and broken ones with a sentence, whatever the broken ones do to their workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fake_work
import pytest

from animate3d.cluster import Ended, Event, Job, Limits, Pool, Stage, each, joined, run_jobs, staff
from animate3d.cluster.engine import Pace
from animate3d.cluster.worker import Outcome
from animate3d.errors import Animate3DError, InputError

pytest.importorskip("ray")
Mixed = tuple[dict[str, Event], Path]


@pytest.fixture(scope="module")
def ray() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}")  # of the workers
        with joined(cpus=4, gpus=1) as where:
            yield where


def job(folder: Path, name: str, *stages: Stage | Callable[..., Any]) -> Job:
    return Job(
        name, (str(folder), name), tuple(part if isinstance(part, Stage) else Stage("all", part) for part in stages)
    )


def ends(jobs: list[Job], pools: list[Pool], limits: Limits | None = None) -> dict[str, Event]:
    """How each job ended; it ends once."""
    told: list[Event] = []
    run_jobs(jobs, pools, limits, told.append)
    last = [event for event in told if event.state in ("done", "failed")]
    assert sorted(event.job.key for event in last) == sorted(job.key for job in jobs)
    return {event.job.key: event for event in last}


def lines(folder: Path, name: str) -> list[str]:
    return [line.split()[0] for line in (folder / name).read_text().splitlines()]


def ran(folder: Path, name: str) -> int:
    """How often a job ran: once more than it was tried, where its outcome was lost with a worker that another ended."""
    found = lines(folder, name)
    assert set(found) == {"ran"}
    return len(found)


BAD = ("unusable", "fails_once", "fails", "takes_memory", "crashes", "hangs")
ENDS_WORKER = ("takes_memory", "crashes", "hangs")
STAGED = ("good", "odd", "fatal")


@pytest.fixture(scope="module")
def mixed(ray: str, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """Good, broken and short jobs, and jobs of two stages, in one run: starting workers takes a second each time."""
    folder = tmp_path_factory.mktemp("mixed")
    jobs = [Job(f"{n}", n, (Stage("all", fake_work.pid),)) for n in range(100)]
    for name in BAD:
        jobs += [job(folder, name, getattr(fake_work, name)), job(folder, f"after_{name}", fake_work.work)]
    for bad in jobs:
        if bad.key in ENDS_WORKER:
            bad.attempts = 1  # it failed before: every further attempt costs a worker
    stages = Stage("video", fake_work.prepare_together, 3), Stage("motion", fake_work.work)
    jobs += [job(folder, name, *stages) for name in STAGED]
    pools = [Pool("all", workers=2, memory=2**30), Pool("video", 1, 1.0), Pool("motion", workers=1)]
    return ends(jobs, pools, Limits(retries=1, timeout=1.0)), folder


def test_many_short_jobs_share_few_warm_workers(mixed: Mixed) -> None:
    assert len({mixed[0][f"{n}"].facts for n in range(100)}) <= 2


def test_a_job_that_failed_by_chance_is_tried_again(mixed: Mixed) -> None:
    assert mixed[0]["fails_once"].facts["attempt"] >= 2  # type: ignore[index]  # see `ran`


def test_the_error_of_a_job_that_fails_again_is_one_sentence(mixed: Mixed) -> None:
    found, folder = mixed
    assert (found["fails"].state, found["fails"].error) == ("failed", "RuntimeError: no luck")
    assert found["fails"].job.attempts == 2 and ran(folder, "fails") >= 2


def test_wrong_input_is_not_tried_again(mixed: Mixed) -> None:
    found, folder = mixed
    assert found["unusable"].error == "unusable does not exist."
    assert found["unusable"].job.attempts == 1 and ran(folder, "unusable") >= 1


@pytest.mark.parametrize(
    ("name", "words"), [("crashes", "it crashed"), ("hangs", "longer than 1 s"), ("takes_memory", "more memory than")]
)
def test_what_breaks_a_worker_is_a_sentence(mixed: Mixed, name: str, words: str) -> None:
    assert mixed[0][name].state == "failed" and words in str(mixed[0][name].error)


def test_broken_jobs_stop_no_others(mixed: Mixed) -> None:
    after = [event.state for name, event in mixed[0].items() if name.startswith("after_")]
    assert after == ["done"] * 6


def test_stages_run_in_their_order_in_pools_of_their_own(mixed: Mixed) -> None:
    found, folder = mixed
    begun = [line.split() for name in STAGED for line in (folder / name).read_text().splitlines()]
    prepared, ran = ({pid for what, pid in begun if (what == "ran") is last} for last in (False, True))
    assert not prepared & ran
    for name in STAGED:
        assert ("ran" in lines(folder, name)) is (found[name].state == "done")
        assert "ran" not in lines(folder, name)[:-1]


def test_jobs_of_one_call_end_each_for_itself(mixed: Mixed) -> None:
    """The first stage does three in one call; where one of them ends the worker, they go again one by one."""
    found, folder = mixed
    for name in STAGED:
        error = f"{name} is odd." if name.startswith("odd") else None
        assert found[name].error == error and found[name].job.attempts == int(error is not None)
        assert lines(folder, name)[:2] == ["prepared-3", "prepared-1"]


def test_each_is_the_same_here_and_on_ray(ray: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("animate3d.cluster.many.joined", lambda address: nullcontext())  # it is there already
    payloads = {f"{n}": n for n in range(4)}
    here = list(each(fake_work.where, payloads, None))
    assert here == [
        Ended(f"{n}", str(tmp_path)) if n % 2 == 0 else Ended(f"{n}", error=f"{n} is odd.") for n in range(4)
    ]
    there = each(fake_work.where, payloads, "local", gpu=True)
    assert sorted(there, key=lambda ended: ended.key) == here


def test_workers_that_cannot_start_are_one_error(ray: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff, "_STARTS", 1)
    with pytest.raises(Animate3DError, match="no driver for this card"):
        ends([job(tmp_path, "job", fake_work.work)], [Pool("all", warm=fake_work.no_start)])


def test_a_worker_that_no_machine_has_room_for_is_refused(ray: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No machine has the 1 CPUs and 4 GPUs"):
        ends([job(tmp_path, "job", fake_work.work)], [Pool("all", gpus=4)])


def test_jobs_are_sent_ahead_only_while_all_are_short() -> None:
    """Those sent ahead of a long one would wait behind it while another worker is free."""
    pace = Pace()
    for _ in range(40):
        pace.note(Outcome(error="It does not exist."))
    assert not pace.short
    for _ in range(40):
        pace.note(Outcome(seconds=0.001))
    assert pace.short
    pace.note(Outcome(seconds=0.1))
    assert not pace.short


def test_pools_with_gpus_take_their_cpus_first() -> None:
    nodes = [{"Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Resources": {"CPU": 3.0}}]
    assert staff.room(nodes, [Pool("motion", 2), Pool("video", 1, 0.5)]) == {"video": [4, 0], "motion": [2, 1]}
