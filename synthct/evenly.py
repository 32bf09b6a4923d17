"""A few out of many, spread over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def evenly_spread(items: Sequence[Item], at_most: int) -> list[Item]:
    """At most so many of the items, in their order, from the first to the last."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(at_most, len(items))).astype(int)]
