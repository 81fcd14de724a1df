"""``kill -9`` of anything at any moment of a rollout under load, 200 times: what was lost.

Runs ``tests/e2e/test_crashes.py`` at its full size and lets it tell its figures. A crash after
which something is not as it should be ends the run, and names its number and the seed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import measuring


def main() -> int:
    """Kill so often, with this seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="crashes (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of their order (default 1)")
    options = parser.parse_args()
    environment = {
        **os.environ,
        "CALUMMA_CRASHES": str(options.count),
        "CALUMMA_SEED": str(options.seed),
    }
    test = str(measuring.ROOT / "tests/e2e/test_crashes.py")
    command = (sys.executable, "-m", "pytest", "-q", test)
    done = subprocess.run(command, env=environment, cwd=measuring.ROOT, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
