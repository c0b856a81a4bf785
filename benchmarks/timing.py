"""Timing rivals side by side."""

import json
import random
import subprocess
import sys
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import thread_time
from typing import Any

import pyperf

# Seconds of one sample: long enough for the clock, short enough that a disturbance hits all cases.
SAMPLE = 0.004
# Shorter samples must agree in this number of calls before they are trusted to set the loops.
LARGEST = 1 << 20


@dataclass(frozen=True)
class Case:
    """A statement to time, with the ``names`` it uses; one execution makes ``calls`` calls.

    By default the time is the processor's, so that of other programs is not in it.
    """

    name: str
    statement: str
    names: dict[str, Any]
    calls: int = 1
    timer: Callable[[], float] = thread_time


@dataclass
class Results:
    """Seconds per call by case; each run is the list of samples of one process."""

    runs: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, values: dict[str, list[float]]) -> None:
        """Add the samples of one process."""
        for name, samples in values.items():
            self.runs.setdefault(name, []).append(samples)

    def median(self, name: str) -> float:
        """Return the median of all samples of a case."""
        return float(self._benchmark(name).median())

    def shortest(self, name: str) -> float:
        """Return the shortest sample of a case."""
        return min(min(samples) for samples in self.runs[name])

    def spread(self, name: str) -> float:
        """Return the median absolute deviation of all samples of a case."""
        return float(self._benchmark(name).median_abs_dev())

    def ratio(self, name: str, base: str) -> float:
        """Return how many times as long as ``base`` a case takes, compared round by round.

        The two samples of a round were taken within a fraction of a second, so the drift of the
        machine's speed, which is larger than the differences looked for, cancels out.
        """
        return median(ratio for run in self._ratios(name, base) for ratio in run)

    def ratio_range(self, name: str, base: str) -> tuple[float, float]:
        """Return the quartiles of what ``ratio`` is in each process."""
        low, _, high = quantiles((median(run) for run in self._ratios(name, base)), n=4)
        return low, high

    def _ratios(self, name: str, base: str) -> list[list[float]]:
        pairs = zip(self.runs[name], self.runs[base], strict=True)
        return [
            [left / right for left, right in zip(mine, other, strict=True)] for mine, other in pairs
        ]

    def _benchmark(self, name: str) -> pyperf.Benchmark:
        metadata = {"name": name, "unit": "second"}
        return pyperf.Benchmark(
            [
                pyperf.Run(samples, metadata=metadata, collect_metadata=False)
                for samples in self.runs[name]
            ]
        )


def interleave(cases: Sequence[Case], rounds: int) -> dict[str, list[float]]:
    """Return seconds per call: one sample of each case in each round, in a new order each time.

    ``pyperf.Runner`` measures one benchmark after the other, seconds apart, and on a busy machine
    its ratios show the neighbours. So only its statistics, over several processes, are
    used here.
    """
    timers = {
        case.name: timeit.Timer(case.statement, timer=case.timer, globals=case.names)
        for case in cases
    }
    loops = {case.name: _loops(timers[case.name]) for case in cases}
    values: dict[str, list[float]] = {case.name: [] for case in cases}
    shuffled = list(cases)
    for _ in range(rounds):
        random.shuffle(shuffled)
        for case in shuffled:
            count = loops[case.name]
            values[case.name].append(timers[case.name].timeit(count) / count / case.calls)
    return values


def _loops(timer: timeit.Timer) -> int:
    """Return how many executions fill a sample; trying them out warms the case up as well."""
    count = 1
    while (seconds := timer.timeit(count)) < SAMPLE and count < LARGEST:
        # At least twofold, so that a first execution that was slow by chance does not end it.
        count = max(2 * count, int(count * min(SAMPLE / max(seconds, 1e-9), 10)))
    return count


def run_worker(module: str, *arguments: str) -> dict[str, list[float]]:
    """Run a module in a fresh process, and return the samples that it prints as JSON.

    A process has its own memory layout and hash seed, worth a few per cent: several average them.
    """
    command = [sys.executable, "-m", module, *arguments]
    # The modules of this package, with arguments made by this package.
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    values: dict[str, list[float]] = json.loads(result.stdout)
    return values
