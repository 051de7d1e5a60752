"""Garbage collection that does not hold the loop up."""

import gc

THRESHOLD = 5_000
"""New objects after which the youngest are collected. Python's own 700 takes a twentieth of a scrape's time."""


def settle() -> None:
    """Take what the process has by now as there to stay, and collect less often from here on.

    A full collection that includes the modules, the app and its routes blocks the loop for over 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, *gc.get_threshold()[1:])
