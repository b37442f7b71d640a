"""Thousands of damaged and hostile files of every kind that is read, and what became of them.

    python -m benchmarks.fuzz --cases 5000
    python -m benchmarks.fuzz --replay checkpoint:17

Every case ends in a refusal of one sentence, in a warning, or in the same result; the exit status is 1 if one ended in
a traceback, took more than 10 seconds (twice) or 1 GB, ended the process, showed control characters or more than 500
characters, or gave another result without a word where the file carries a digest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.fuzz.worker import FAULTS, OUTCOMES, SECONDS, Verdict, serve


class Pool:
    """Worker processes that are started anew when a case ends them.

    Args:
        count: Number of processes.
        seed: Seed of all cases.
        keep: Folder for the files of faults.
    """

    def __init__(self, count: int, seed: int, keep: Path) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.arguments = (seed, str(keep))
        self.slots: list[list[Any]] = [[None, None, None, None, 0.0] for _ in range(count)]

    def run(self, cases: list[tuple[str, int]], until: float) -> list[Verdict]:
        """All cases, or those until a time."""
        waiting, verdicts = list(reversed(cases)), []
        while any(slot[3] for slot in self.slots) or (waiting and time.time() < until):
            busy = False
            for slot in self.slots:
                verdict = self._look(slot)
                if verdict is not None:
                    verdicts.append(verdict)
                if slot[3] is None and waiting and time.time() < until:
                    self._give(slot, waiting.pop())
                    busy = True
            if not busy:
                time.sleep(0.002)
        for slot in self.slots:
            if slot[0] is not None:
                slot[1].put(None)
                slot[0].join(10)
        return verdicts

    def _give(self, slot: list[Any], case: tuple[str, int]) -> None:
        if slot[0] is None:
            slot[1], slot[2] = self.context.Queue(), self.context.Queue()
            slot[0] = self.context.Process(target=serve, args=(slot[1], slot[2], *self.arguments), daemon=True)
            slot[0].start()
            slot[4] = time.time() + 60 * SECONDS  # it imports, and makes the sound files
        slot[1].put(case)
        slot[3] = case
        slot[4] = max(slot[4], time.time() + 6 * SECONDS)

    def _look(self, slot: list[Any]) -> Verdict | None:
        """The verdict of a slot, if there is one."""
        if slot[3] is None:
            return None
        if not slot[2].empty():
            verdict = slot[2].get()
        elif not slot[0].is_alive():
            verdict = Verdict(*slot[3], "?", "crash", f"exit status {slot[0].exitcode}")
        elif time.time() > slot[4]:
            verdict = Verdict(*slot[3], "?", "hang", "killed")
        else:
            return None
        if verdict.mutation == "?":
            slot[0].kill()
            slot[0].join()
            slot[0] = None
        slot[3], slot[4] = None, 0.0
        return verdict


def plan(total: int, only: str | None = None) -> list[tuple[str, int]]:
    """Kind and number of so many cases, all kinds in turn."""
    from benchmarks.fuzz.kinds import all_kinds

    kinds = [kind for kind in all_kinds() if only is None or only in kind.name]
    weight = sum(kind.share for kind in kinds)
    counts = {kind.name: -(-int(total * kind.share) // int(weight) or 1) for kind in kinds}
    rounds = max(counts.values())
    return [(name, number) for number in range(rounds) for name, count in counts.items() if number < count]


def table(verdicts: list[Verdict]) -> str:
    """Outcomes by kind of file, as Markdown."""
    found: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.kind, Counter())[verdict.outcome] += 1
    found["all"] = sum(found.values(), Counter())
    lines = [f"| kind | cases | {' | '.join(OUTCOMES)} |", "|" + "---|" * (len(OUTCOMES) + 2)]
    for kind, counts in found.items():
        numbers = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {kind} | {counts.total()} | {numbers} |")
    return "\n".join(lines)


def main(args: list[str] | None = None) -> int:
    """Run the cases; 0 if there is no fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", help="kinds with this in their name")
    parser.add_argument("--replay", help="KIND:NUMBER")
    parser.add_argument("--output", type=Path, default=Path("runs/fuzz"))
    given = parser.parse_args(args)
    start = time.time()
    if given.replay:
        name, _, number = given.replay.rpartition(":")
        cases = [(name, int(number))]
    else:
        cases = plan(given.cases, given.only)
    keep = given.output.absolute()
    verdicts = Pool(min(given.processes, len(cases)), given.seed, keep).run(cases, start + 60 * given.minutes)
    print(table(verdicts))
    faults = [verdict for verdict in verdicts if verdict.outcome in FAULTS]
    for verdict in faults if not given.replay else verdicts:
        last = (verdict.told.strip().splitlines() or [""])[-1]
        print(f"{verdict.kind}:{verdict.number} {verdict.outcome}, {verdict.mutation}: {last[:200]!r}")
    left = len(cases) - len(verdicts)
    print(
        f"{len(verdicts):,} cases, {len(faults)} faults, {time.time() - start:.0f} s"
        + f", {left} left out" * bool(left)
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
