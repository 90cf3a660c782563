"""Work of which several pieces go on at once, and whose results are taken in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_order(begun: Iterable[Callable[[], T]], most: int) -> Iterator[T]:
    """The results of pieces of work in the order in which they were begun.

    Args:
        begun: Begins the next piece each time it is asked for one, and gives what waits for
            its result.
        most: How many are begun, at the most, before the first of them is waited for.
    """
    waiting: deque[Callable[[], T]] = deque()
    for wait in begun:
        waiting.append(wait)
        if len(waiting) >= most:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
