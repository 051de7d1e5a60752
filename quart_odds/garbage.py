"""How often a process collects garbage. Collections hold the event loop up, the longer the more objects they visit."""

import gc

THRESHOLDS = 2_000, 4, 50
"""New objects until the youngest are collected, and how many collections of each generation one of the next takes.

Python's own 700, 10 and 10 took a tenth of the time of a scrape, and blocked the loop for 130 ms.
"""


THRESHOLDS_OF_A_START = 20_000, 10, 10
"""What a start makes is there to stay, and Python's own thresholds take a tenth of its time to look at it."""


def begin() -> None:
    """Collect seldom from here on, for the start of a process."""
    gc.set_threshold(*THRESHOLDS_OF_A_START)


def settle() -> None:
    """Take what the process has by now as there to stay, and collect less often from here on.

    A full collection that includes the modules, the app and its routes blocks the loop for over 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
