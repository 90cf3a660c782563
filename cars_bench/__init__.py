"""cars-bench: many architecture questions of a frozen backbone for one pass over the images.

From Python, the same functions that the commands call (`cars_bench.api` documents them):

    import cars_bench

    cars_bench.prepare("photos/")
    cars_bench.extract()
    study = cars_bench.tune(trials=100)
    model = cars_bench.finetune(best=True)

They are looked up when they are first used, so that importing this costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cars_bench.api import (
        evaluate,
        extract,
        finetune,
        open_cache,
        open_study,
        predict,
        prepare,
        tune,
    )

__version__ = "0.1.0"
SCHEMA_VERSION = 1

__all__ = [
    "evaluate",
    "extract",
    "finetune",
    "open_cache",
    "open_study",
    "predict",
    "prepare",
    "tune",
]


def __getattr__(name: str) -> Any:
    """The API's functions, when they are first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cars_bench import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "annotations"})
