"""The counters of a run: the events that each platform found, fetched and failed, and the progress made from them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, ScrapePhase
from quart_odds.errors import BookmakerError, NotFoundError
from quart_odds.scraping.deadline import BudgetRoom
from quart_odds.scraping.faults import Faults, error_context, run_error
from quart_odds.scraping.schemas import ScrapeProgress, progress_words

Clock = Callable[[], float]

ESTIMATE_FROM_SECONDS = 3.0
"""No remaining time is estimated earlier than this: the rate would not mean much yet."""


class PlatformTracker:
    """The state of one platform's part of a run.

    Its times are `began_at` plus the time on a monotonic clock, so phases keep their order and length even if the wall
    clock is set. `gone` counts the `failed` events that do not count against the platform: the bookmaker no longer has
    them, or they are in play. `without` counts the events of a sweep that have no prices in the lists, `details`
    those whose own body was fetched as well.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        began_at: datetime | None = None,
        clock: Clock = time.monotonic,
        on_phase: Callable[["PlatformTracker"], None] = lambda _: None,
    ) -> None:
        self.platform = platform
        self.phase = ScrapePhase.INITIALIZING
        self.found = 0
        self.fetched = 0
        self.failed = 0
        self.gone = 0
        self.without = 0
        self.details = 0
        self.mapped_markets = 0
        self.unmapped_markets = 0
        self.dropped_prices = 0
        self.is_shrunken = False
        self.is_discovered = False
        self.faults = Faults()
        self.phases: list[PhaseRecord] = []
        self.message: str | None = None
        self.error: RunError | None = None
        self.room: BudgetRoom | None = None
        """How much longer than its deadline the platform may take; None before it has begun."""
        self.revision = 0
        """Increases with every change that progress shows."""
        self.on_phase = on_phase
        self._notes: list[str] = []
        self._clock = clock
        self._began = clock()
        self._began_at = began_at or utc_now()
        self._ended: float | None = None
        self._fetching_since: float | None = None

    @property
    def done(self) -> int:
        """The number of events that have been processed, successfully or not."""
        return self.fetched + self.failed + self.without

    @property
    def duration_ms(self) -> int | None:
        """How long the platform took; None while it is not finished."""
        return None if self._ended is None else round((self._ended - self._began) * 1000)

    @property
    def remaining_seconds(self) -> float | None:
        """An estimate of the remaining time, from the rate so far.

        None while there is no basis for one, and before all lists are complete: the number of events still grows.
        """
        now = self._clock()
        if self.phase.is_final:
            return 0.0
        if not self.is_discovered or self._fetching_since is None or not self.done:
            return None
        if now - self._began < ESTIMATE_FROM_SECONDS:
            return None
        return (self.found - self.done) * (now - self._fetching_since) / self.done

    def enter(self, phase: ScrapePhase, message: str | None = None) -> None:
        """Enter a phase, which ends the previous one."""
        now = self._began_at + timedelta(seconds=self._clock() - self._began)
        if self.phases and self.phases[-1].ended_at is None:
            last = self.phases[-1]
            self.phases[-1] = replace(last, ended_at=now, events_processed=self._processed(last.phase))
        self.phase = phase
        self.message = message or "; ".join(self._notes) or None
        ended = now if phase.is_final else None
        processed = self.fetched if ended else None
        self.phases.append(PhaseRecord(phase, now, self.platform, ended, processed, self.message))
        if phase.is_final:
            self._ended = self._clock()
        self.revision += 1
        self.on_phase(self)

    def count_found(self) -> None:
        """Count an event that was listed."""
        self.found += 1
        self._fetching_since = self._fetching_since or self._clock()
        self.revision += 1

    def count_fetched(self, mapped: MappedEvent) -> None:
        """Count an event whose odds were recorded."""
        self.fetched += 1
        self.mapped_markets += mapped.mapped_markets
        self.unmapped_markets += len(mapped.unmapped)
        self.dropped_prices += mapped.dropped
        self.revision += 1

    def count_failed(self, error: BaseException) -> None:
        """Count an event that could not be fetched, decoded or recorded."""
        self.failed += 1
        self.gone += isinstance(error, NotFoundError)
        self.faults.add(run_error(error, self.platform))
        self.revision += 1

    def count_in_play(self, header: EventHeader) -> None:
        """Count an event that has no pre-match odds because its match has begun. It counts as `gone` as well."""
        self.failed += 1
        self.gone += 1
        where = f"event {header.external_id}"
        reason = f"{self.platform.display_name} at {where}: in play, so its prices are left out"
        self.faults.add(RunError("in_play", reason, utc_now(), self.platform, where))
        self.revision += 1

    def count_detail(self) -> None:
        """Count an event of a sweep whose own body was fetched and recorded as well."""
        self.details += 1
        self.revision += 1

    def count_without(self) -> None:
        """Count an event whose list entry has no prices. It has not failed."""
        self.without += 1
        self.revision += 1

    def note_lists(self, errors: Sequence[BookmakerError]) -> None:
        """Add what was wrong with the lists: every error to the faults, the first one to the message."""
        for error in errors:
            self.faults.add(run_error(error, self.platform))
        if errors:
            more = f", and {len(errors) - 1} more lists are not complete" if len(errors) > 1 else ""
            self.note(f"{errors[0].where or 'a list'}: {errors[0].reason}{more}")

    def note_missing(self, missed: int, gone: int, *, is_fault: bool) -> None:
        """Note how many events complete lists lack, for the first time and for good.

        `is_fault` is True if there are so many that the lists may be wrong; that is added to the faults.
        """
        if not missed and not gone:
            return
        words = f"{missed} events were missed for the first time, {gone} are gone"
        self.note(words)
        if is_fault:
            reason = f"{self.platform.display_name}: {words}"
            self.faults.add(RunError("missing", reason, utc_now(), self.platform, recoverable=True))

    def slow_down(self, words: str | None) -> None:
        """Note that the bookmaker gets fewer requests than configured, and why. None if it does not."""
        if words is None:
            return
        self.note(words)
        self.faults.add(RunError("slowed_down", words, utc_now(), self.platform, recoverable=True))

    def note(self, words: str) -> None:
        """Add a remark to the platform's message."""
        self._notes.append(words)
        self.message = "; ".join(self._notes)
        self.revision += 1

    def fail(self, error: RunError) -> None:
        """End the platform's part as failed, with the reason."""
        self.error = error
        self.enter(ScrapePhase.FAILED, error.error_message)

    def progress(self) -> ScrapeProgress:
        """Return the platform's current progress."""
        remaining = self.remaining_seconds
        total = max(self.found, self.done)
        return ScrapeProgress(
            platform=self.platform,
            phase=self.phase,
            current=self.done,
            total=total,
            events_count=self.fetched,
            duration_ms=self.duration_ms,
            message=self.message or progress_words(self.phase, self.done, total),
            remaining_ms=None if remaining is None else round(remaining * 1000),
            error=error_context(self.error),
        )

    def result(self) -> PlatformResult:
        """Return the platform's result, for the run's row."""
        return PlatformResult(
            platform=self.platform,
            phase=self.phase,
            found=self.found,
            fetched=self.fetched,
            failed=self.failed,
            duration_ms=self.duration_ms,
            mapped_markets=self.mapped_markets,
            unmapped_markets=self.unmapped_markets,
            dropped_prices=self.dropped_prices,
            is_shrunken=self.is_shrunken,
            error=self.error,
        )

    def _processed(self, phase: ScrapePhase) -> int:
        return self.found if phase is ScrapePhase.DISCOVERING else self.done


class RunTracker:
    """The state of a run: that of all its platforms together."""

    def __init__(self, platforms: Sequence[PlatformTracker]) -> None:
        self.platforms = tuple(platforms)
        self.phase = ScrapePhase.INITIALIZING
        self.message: str | None = None
        self._told_extension = 0.0

    @property
    def fetched(self) -> int:
        """The number of events whose odds were recorded, added up over all bookmakers."""
        return sum(each.fetched for each in self.platforms)

    @property
    def failed(self) -> int:
        """The number of events that failed, added up over all bookmakers."""
        return sum(each.failed for each in self.platforms)

    @property
    def extension(self) -> float:
        """How many seconds more than its deadline a platform was given because of a budget, at most."""
        return max((each.room.extension for each in self.platforms if each.room is not None), default=0.0)

    def more_seconds(self) -> float:
        """Return by how much `extension` has grown since the last call. The run may take so much longer, too."""
        before, self._told_extension = self._told_extension, self.extension
        return self._told_extension - before

    @property
    def failed_platforms(self) -> tuple[PlatformTracker, ...]:
        """The platforms that failed."""
        return tuple(each for each in self.platforms if each.phase is ScrapePhase.FAILED)

    def errors(self) -> tuple[RunError, ...]:
        """Return all errors: first why platforms failed, then the errors of single events."""
        reasons = tuple(each.error for each in self.platforms if each.error is not None)
        return reasons + tuple(
            error
            for each in self.platforms
            for error in each.faults.all()
            if each.error is None or error.error_type != each.error.error_type
        )

    def progress(self, phase: ScrapePhase | None = None, message: str | None = None) -> ScrapeProgress:
        """Return the current progress of the run as a whole.

        Unless given, the phase is the first of scraping, discovering, initializing and mapping that any platform is in,
        otherwise storing.
        """
        remaining = [each.remaining_seconds for each in self.platforms]
        is_known = all(each is not None for each in remaining)
        phase = phase or self._overall_phase()
        current = sum(each.done for each in self.platforms)
        total = sum(max(each.found, each.done) for each in self.platforms)
        return ScrapeProgress(
            phase=phase,
            current=current,
            total=total,
            events_count=self.fetched,
            message=message or progress_words(phase, current, total),
            remaining_ms=round(max(each or 0 for each in remaining) * 1000) if remaining and is_known else None,
        )

    def _overall_phase(self) -> ScrapePhase:
        going = [each.phase for each in self.platforms if not each.phase.is_final]
        for phase in (
            ScrapePhase.SCRAPING,
            ScrapePhase.DISCOVERING,
            ScrapePhase.INITIALIZING,
            ScrapePhase.MAPPING,
        ):
            if phase in going:
                return phase
        return ScrapePhase.STORING
