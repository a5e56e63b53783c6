"""The workers of a pool as the driver sees them: how many there is room for, and what each is at."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from animate3d.cluster.jobs import Job, Pool
from animate3d.cluster.ray import ray_module
from animate3d.cluster.worker import Worker
from animate3d.errors import Animate3DError

_STARTS = 3  # workers that may end one after the other before any of a pool has begun to work

# Of the libraries below torch: idle threads of theirs spin, and two workers on two cores then take three times as long.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_ONE_THREAD |= {"OMP_WAIT_POLICY": "passive"}


@dataclass(eq=False)
class Hand:
    """A worker.

    Attributes:
        ready: a reference to the answer that it is warm; None once it came.
        node: where it is, once it is warm.
        calls: sent to it and not back yet, in their order: a reference to the outcomes, and the jobs of the call.
        since: when the first of the calls began.
    """

    actor: Any
    pool: Pool
    ready: Any
    node: str = ""
    calls: deque[tuple[Any, tuple[Job, ...]]] = field(default_factory=deque)
    since: float = 0.0

    def begin(self) -> None:
        """The next of its calls begins now."""
        self.since = time.monotonic()


class Staff:
    """All workers of all pools; grows and shrinks with the cluster."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.ray = ray_module()
        self.pools = {pool.name: pool for pool in pools}
        self.hands: dict[str, list[Hand]] = {pool.name: [] for pool in pools}
        self._failed = dict.fromkeys(self.pools, 0)
        self._looked = 0.0
        self._room: dict[str, list[int]] = {}

    def adjust(self, waiting: Mapping[str, int], interval: float = 2.0) -> None:
        """Start workers where there is room and work, and give up those that found no place.

        Args:
            waiting: jobs of each pool that nobody is at.
            interval: seconds between two looks at the machines.
        """
        if time.monotonic() - self._looked > interval or not self._room:
            self._room = room([node for node in self.ray.nodes() if node["Alive"]], list(self.pools.values()))
            self._looked = time.monotonic()
        for name, pool in self.pools.items():
            hands, places = self.hands[name], self._room[name]
            busy = sum(bool(hand.calls) for hand in hands)
            most = sum(places) if pool.workers is None else pool.workers
            wanted = min(most, busy + waiting[name])
            for _ in range(wanted - len(hands)):
                hands.append(self._hire(pool, max(places, default=1)))
            if len(hands) > most:  # a machine was lost before its workers had begun
                for hand in [hand for hand in hands if hand.ready is not None][: len(hands) - most]:
                    self.dismiss(hand)

    def _hire(self, pool: Pool, neighbours: int) -> Hand:
        actor = (
            self.ray.remote(Worker)
            .options(num_cpus=pool.cpus, num_gpus=pool.gpus, max_restarts=0, runtime_env={"env_vars": _ONE_THREAD})
            .remote(pool.warm, pool.memory, neighbours)
        )
        return Hand(actor, pool, actor.place.remote())

    def dismiss(self, hand: Hand) -> None:
        """End a worker, whatever it is at."""
        self.hands[hand.pool.name].remove(hand)
        self.ray.kill(hand.actor)

    def settled(self, hand: Hand, node: str) -> None:
        """A worker is warm."""
        hand.ready, hand.node = None, node
        self._failed[hand.pool.name] = 0

    def stillborn(self, hand: Hand, error: Exception) -> None:
        """A worker ended before it was warm.

        Raises:
            Animate3DError: so did those before.
        """
        self.hands[hand.pool.name].remove(hand)
        if node_died(error):  # Ray places workers on a lost machine until it has missed a few heartbeats
            return
        self._failed[hand.pool.name] += 1
        if self._failed[hand.pool.name] >= _STARTS:
            raise Animate3DError(f"The workers cannot start: {' '.join(str(error).split())[-400:]}") from error

    def end(self) -> None:
        """Dismiss everybody."""
        for hands in self.hands.values():
            for hand in list(hands):
                self.dismiss(hand)


def room(nodes: Sequence[Mapping[str, Any]], pools: Sequence[Pool]) -> dict[str, list[int]]:
    """Workers of each pool that every machine has room for; pools with GPUs take their CPUs first."""
    free = [dict(node["Resources"]) for node in nodes]
    places: dict[str, list[int]] = {}
    for pool in sorted(pools, key=lambda pool: -pool.gpus):
        places[pool.name] = []
        for have in free:
            count = min(
                math.floor(have.get(kind, 0) / need + 1e-9)
                for kind, need in (("GPU", pool.gpus), ("CPU", pool.cpus))
                if need
            )
            have["CPU"] = have.get("CPU", 0) - count * pool.cpus
            places[pool.name].append(count)
    return places


def node_died(error: Exception) -> bool:
    """Whether a worker ended because its machine was lost.

    Ray says it in words only, or that the worker does not answer: then it has not yet missed the machine's heartbeats.
    """
    said = str(error)
    return type(error).__name__ == "ActorUnavailableError" or "node has died" in said or "node was terminated" in said
