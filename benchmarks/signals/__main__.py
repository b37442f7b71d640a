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

from benchmarks.signals.cases import ALONE, ENDINGS, VERBS, prepare, stopped, undisturbed

EXPECTED = {"SIGTERM": (143,), "SIGINT": (130,), "SIGHUP": (129,), "worker": (2,), "rank": (2,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--endings", nargs="+", default=list(ENDINGS), choices=ENDINGS)
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--output", type=Path, help="file for the table, beside the console")
    given = parser.parse_args()
    lines, wrong = [], 0

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)
        if given.output:
            given.output.write_text("\n".join(lines) + "\n")

    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch, "base")
        base.mkdir()
        prepare(base)
        tell("| verb | processes | ended by | status | seconds | left | again | result | said |")
        tell("|---|---|---|---|---|---|---|---|---|")
        for verb in given.only:
            for processes in [1] if verb in ALONE else given.processes:
                whole = shutil.copytree(base, Path(scratch, "whole"))
                expected = undisturbed(whole, verb, processes)
                for ending in given.endings:
                    if (ending == "worker" and verb in ALONE) or (ending == "rank" and processes == 1):
                        continue
                    folder = shutil.copytree(base, Path(scratch, "run"))
                    one = stopped(folder, verb, ending, processes, expected)
                    good = one.status in EXPECTED[ending] and not one.left and one.same
                    wrong += not good
                    tell(
                        f"| {verb} | {processes} | {ending} | {one.status} | {one.seconds:.1f} | "
                        f"{', '.join(one.left) or '-'} | {one.again} | {'equal' if one.same else 'OTHER'} | "
                        f"{one.said[:200]}{'' if good else '  <-- WRONG'} |"
                    )
                    if not good:
                        print(one.stderr, file=sys.stderr, flush=True)
                    shutil.rmtree(folder)
                shutil.rmtree(whole)
    tell(f"\n{wrong} are not as they should be")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
