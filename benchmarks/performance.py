"""Everything that docs/performance.md says, measured on this machine: the scripts behind it, one after the other.

    python -m benchmarks.performance [--only NAME ...]

Each script prints its own table, of ratios that were measured in one run. The rest of the machine should be idle; all
of them take about an hour on two cores. Those that need the project's assets say so, and are left out without them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

SCRIPTS = {
    "deep_lift": "DeepLIFT beside Captum's",
    "memory_order": "methods and metrics with feature maps in either order in memory",
    "explain_loop": "what a run adds to the bare loop, and its memory",
    "coiba_speed": "CoIBA: the usual way, exact, bf16, fast",
    "readout_speed": "readouts beside a forward and beside CoIBA",
    "matrix_rate": "CoIBA beside the machine's rate of matrix products, and where its time goes",
    "compiled_blocks": "what compilation of a block would gain, and take",
    "growth": "how cost grows",
    "scoring_precision": "a forward in fp32 and bf16 by kind of operation",
    "metrics_speed": "metrics beside those of other libraries",
    "training_speed": "steps of the other trainings",
    "start_up": "what a command costs before it does anything",
}


def main(names: list[str]) -> int:
    """Run them; the number that failed."""
    failed = 0
    for name in names:
        print(f"## {name}: {SCRIPTS[name]}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    sys.exit(main(parser.parse_args().only))
