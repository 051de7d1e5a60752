"""Sweeps: which lists are read, and what they prove.

A site with a list of all events is swept page by page, the others by the lists of their tree. Nothing is considered
complete unless everything was read without a fault.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from quart_odds.bookmakers import discovery
from quart_odds.bookmakers.discovery import Discovery
from quart_odds.bookmakers.kept_lists import KeptLists
from quart_odds.bookmakers.site import Listing, WholeList
from quart_odds.domain.platforms import Platform
from quart_odds.errors import IncompleteListError, ListLimitError

Choose = Callable[[Sequence[str]], Sequence[str]]
"""Takes the names of all lists and returns those to read, in order."""

_ALL = "all events"


def chosen(listings: Sequence[Listing], choose: Choose | None) -> list[Listing]:
    """Return the lists that `choose` selects, each once. Raises ValueError for a name that is not among them."""
    if choose is None:
        return list(listings)
    by_name = {listing.list_name: listing for listing in listings}
    names = dict.fromkeys(choose(tuple(by_name)))
    if unknown := names.keys() - by_name.keys():
        raise ValueError(f"no list has the name {min(unknown)!r}")
    return [by_name[name] for name in names]


class PageSweep:
    """A sweep of a list of all events.

    The first page is always read, because it tells the number of events. `choose` selects from the other pages. If it
    leaves none out, further pages are read until all events have been seen or a page has no new one: pages may be
    short. `is_whole` tells afterwards whether every event was listed.
    """

    def __init__(self, platform: Platform, work: Discovery, whole_list: WholeList, kept: KeptLists) -> None:
        self.is_whole = False
        self._is_limited = False
        self._platform = platform
        self._work = work
        self._list = whole_list
        self._kept = kept

    def rounds(self, choose: Choose | None) -> Iterator[Sequence[Listing]]:
        """Yield the pages to read: those of a round side by side, the next round once they have been read."""
        tally = self._work.tally
        yield [replace(self._list.page(1), is_required=True)]
        [total] = tally.totals
        if total is None:
            return
        wanted = max(self._kept.pages, -(-total // self._list.page_size))
        pages = min(wanted, discovery.MAX_PAGES)
        if pages < wanted:
            self._note_limit()
        further = [self._list.page(number) for number in range(2, pages + 1)]
        selected = chosen(further, choose)
        yield selected
        if len(selected) < len(further):
            return
        while len(tally.ids) < total and tally.new_entries.get(self._list.page(pages).list_name):
            if pages == discovery.MAX_PAGES:
                self._note_limit()
                break
            pages += 1
            yield [self._list.page(pages)]
        self._judge(total, pages)

    def _judge(self, total: int, pages: int) -> None:
        """Decide whether every event was listed, and report it if entries are missing or may be."""
        tally = self._work.tally
        listed = len(tally.ids)
        reason = ""
        if tally.has_moved or tally.totals != {total}:
            reason = "the list moved while it was read, so that events may be missing"
        elif listed < total:
            reason = f"{listed} of {total} events were listed"
        elif listed > total:
            reason = f"{listed} events were listed, although the site counts {total}"
        if reason:
            self._work.note([IncompleteListError(self._platform, reason, where=_ALL)])
        is_read = all(read.is_complete for read in self._work.lists_read.values())
        # A bookmaker always has events: a list without any proves nothing.
        self.is_whole = is_read and not reason and listed > 0
        if is_read:
            names = {number: self._list.page(number).list_name for number in range(1, pages + 1)}
            self._kept.pages = max((number for number, name in names.items() if tally.new_entries.get(name)), default=1)

    def _note_limit(self) -> None:
        if self._is_limited:
            return
        self._is_limited = True
        reason = f"a list of more than {discovery.MAX_PAGES} pages"
        self._work.note([ListLimitError(self._platform, reason, where=_ALL)])
