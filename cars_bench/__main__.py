"""`python -m cars_bench` is `cars-bench`."""

from __future__ import annotations

import os
import sys

from cars_bench.errors import Interrupted


def main() -> None:
    """Run the program; interrupted, while it is still being loaded too, it exits with 130."""
    try:
        from cars_bench.cli import app

        app.main()
    except KeyboardInterrupt:
        _exit_interrupted()
    except SystemExit as end:
        if end.code == Interrupted.code:
            _exit_interrupted()
        raise


def _exit_interrupted() -> None:
    """Exit at once: Python itself would die of SIGINT where `exec` had been interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(Interrupted.code)


if __name__ == "__main__":
    main()
