"""Stop every verb by every signal, with one process and with two, and look at what becomes of it.

For each: exit status, seconds from the signal to the end, what is left (temporary files, processes), the line that the
run ended with, and whether the same command afterwards gives what an undisturbed run gives.

    python -m benchmarks.signals [--only VERB ...] [--endings SIGTERM ...] [--output FILE]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.signals.cases import ALONE, ENDINGS, NO_WORKERS, VERBS, prepare, stopped, undisturbed, workers
from benchmarks.signals.warm import Warm

EXPECTED = {"SIGTERM": (143,), "SIGINT": (130,), "SIGHUP": (129,), "worker": (2,), "rank": (2,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--endings", nargs="+", default=list(ENDINGS), choices=ENDINGS)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--output", type=Path, help="file for the table, beside the console")
    given = parser.parse_args()
    lines, right, wrong = list[str](), 0, 0

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)
        if given.output:
            given.output.write_text("\n".join(lines) + "\n")

    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch, "base")
        base.mkdir()
        begin = Warm().start
        prepare(base, begin)
        tell("| verb | processes | ended by | status | seconds | left | again | result | said |")
        tell("|---|---|---|---|---|---|---|---|---|")
        for processes, verb in [
            (n, verb) for n in given.processes for verb in given.only if n == 1 or verb not in ALONE
        ]:
            expected = dict[int, str]()  # of each number of processes that read files, which draw augmentations
            for ending in given.endings:
                if (ending == "worker" and verb in NO_WORKERS) or (ending == "rank" and processes == 1):
                    continue
                readers = workers(ending)
                if readers not in expected:
                    whole = shutil.copytree(base, Path(scratch, "whole"))
                    expected[readers] = undisturbed(whole, verb, processes, readers, begin)
                    shutil.rmtree(whole)
                folder = shutil.copytree(base, Path(scratch, "run"))
                one = stopped(folder, verb, ending, processes, expected[readers], begin)
                said = one.said.startswith("lit-coiba: ") and "Traceback" not in one.stderr
                good = one.status in EXPECTED[ending] and not one.left and one.same and said
                right, wrong = right + good, wrong + (not good)
                tell(
                    f"| {verb} | {processes} | {ending} | {one.status} | {one.seconds:.1f} | "
                    f"{', '.join(one.left) or '-'} | {one.again} | {'equal' if one.same else 'OTHER'} | "
                    f"{one.said[:200]}{'' if good else '  <-- WRONG'} |"
                )
                if not good:
                    print(one.stderr, (folder / "stderr").read_text(), sep="\n--- again\n", file=sys.stderr, flush=True)
                shutil.rmtree(folder)
    tell(f"\n{right} are as they should be, {wrong} are not")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
