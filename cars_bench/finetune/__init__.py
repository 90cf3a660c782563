"""Reattach the head, prove the hand-off, unfreeze, train end to end, and use what came of it.

The package may be called: `cars_bench.finetune(best=True)` is the API's function.
"""

import sys

from cars_bench.rooms import CallableRoom

sys.modules[__name__].__class__ = CallableRoom
