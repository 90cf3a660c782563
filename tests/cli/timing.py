"""How long a command takes, whatever else the machine is doing."""

import resource
import subprocess
import sys


def processor_seconds(*arguments: str) -> float:
    """Seconds of processor time of one run of the program, its start included.

    Wall time on an idle machine is about the same, for commands that use one
    core; unlike wall time it does not grow when other processes compete.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "cars_bench", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
