"""Rooms that share their name with a function of the Python API."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any


class CallableRoom(ModuleType):
    """A package that may be called, as the function of the API that has its name.

    Python sets `cars_bench.finetune` to the package as soon as anything in it is imported;
    so the package answers `cars_bench.finetune(...)` too, whatever was imported before.
    """

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The function of `cars_bench.api`, which is above every room, so found only now."""
        return self._function()(*arguments, **options)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """What `help` and notebooks show first: the function's arguments, not the room."""
        return inspect.getdoc(self._function()) or ""

    @property
    def __signature__(self) -> inspect.Signature:
        """What `help` and notebooks show of it."""
        return inspect.signature(self._function())

    def _function(self) -> Any:
        return getattr(importlib.import_module("cars_bench.api"), self.__name__.rpartition(".")[2])
