"""How many assets an hour a cluster makes: the two pools of `animate3d batch` as queues, with measured times.

python benchmarks/plan_cluster.py --video 21 --motion 15
"""

from __future__ import annotations

import argparse
import heapq

import numpy as np

JOBS = 2000
PILE = 8  # as in animate3d/cluster/engine.py: jobs per worker that may wait between the stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=float, default=21.0, help="seconds of a GPU for an asset")
    parser.add_argument("--motion", type=float, default=15.0, help="seconds of a worker of --cpus for an asset")
    parser.add_argument("--cpus", type=float, default=1.0, help="cores of a worker for motion and files")
    parser.add_argument("--cores", type=int, nargs="+", default=[12, 16, 32], help="of a machine")
    parser.add_argument("--spread", type=float, default=0.3, help="standard deviation of the times, as a share")
    parser.add_argument("--gpu-hour", type=float, default=2.0, help="price of a GPU with its share of the machine")
    given = parser.parse_args()
    print(
        "| machines | GPUs each | cores each | assets an hour | GPUs busy | CPU workers busy | price of 1000 | full |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for machines, gpus in [(1, 1), (1, 4), (1, 8), (2, 8), (4, 8), (10, 8)]:
        for cores in given.cores:
            workers = machines * int((cores - gpus) // given.cpus)
            if workers < 1:
                continue
            rate, gpu, cpu = simulate(machines * gpus, workers, given.video, given.motion, given.spread)
            price = 1000 / rate * machines * gpus * given.gpu_hour
            full = "GPUs" if gpu > cpu else "CPUs"
            print(f"| {machines} | {gpus} | {cores} | {rate:.0f} | {gpu:.0%} | {cpu:.0%} | {price:.1f} | {full} |")


def simulate(gpus: int, workers: int, video: float, motion: float, spread: float) -> tuple[float, float, float]:
    """Assets an hour, and the share of time that GPUs and CPU workers are busy.

    A job takes a GPU, then a CPU worker. No video is begun while more than `PILE` jobs per CPU worker wait.
    """
    random = np.random.default_rng(0)
    shape = 1 / spread**2
    videos, motions = (random.gamma(shape, mean / shape, JOBS) for mean in (video, motion))
    free_gpus, free_workers = [0.0] * gpus, [0.0] * workers
    begun: list[float] = []  # when each job leaves the queue between the stages
    for job in range(JOBS):
        start = heapq.heappop(free_gpus)
        if job > PILE * workers + gpus:
            start = max(start, begun[job - PILE * workers - gpus])
        made = start + videos[job]
        heapq.heappush(free_gpus, made)
        begins = max(made, heapq.heappop(free_workers))
        begun.append(begins)
        heapq.heappush(free_workers, begins + motions[job])
    end = max(free_workers)
    return 3600 * JOBS / end, videos.sum() / (gpus * end), motions.sum() / (workers * end)


if __name__ == "__main__":
    main()
