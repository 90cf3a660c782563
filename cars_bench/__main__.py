"""`python -m cars_bench` is `cars-bench`."""

from __future__ import annotations

import os
import signal
import sys

from cars_bench.errors import Interrupted


def main() -> None:
    """Run the program; interrupted, while it is still being loaded too, it exits with 130."""
    try:
        from cars_bench.interrupts import LastWord

        signal.signal(signal.SIGINT, LastWord())
        from cars_bench.cli import app

        app.main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from cars_bench.interrupts import LastWord

        LastWord()(signal.SIGINT, None)
    except SystemExit as end:
        # All is said: a press that comes now would only kill Python as it clears up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if end.code == Interrupted.code:
            # At once: Python itself would die of SIGINT where `exec` had been interrupted.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(Interrupted.code)
        raise


if __name__ == "__main__":
    main()
