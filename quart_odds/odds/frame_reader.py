"""Reads the parts of a frame (`odds.frames`) one after the other, and refuses whatever is not what it should be.

Every method raises ReplicationError, and nothing else, if the next field or column is missing or of another kind.
"""

from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from quart_odds.domain.platforms import Platform
from quart_odds.errors import ReplicationError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_NUMBER = (1 << 32) - 1
MAX_BIG_NUMBER = (1 << 63) - 1

_END_OF_MOMENTS = (1 << 32) * 1_000_000
_FIRST_DATE = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_LAST_DATE = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_PLATFORMS = {platform.value: platform for platform in Platform}
_NOTHING = object()


def malformed(reason: str) -> NoReturn:
    """Raise a ReplicationError with this reason."""
    raise ReplicationError(f"malformed: {reason}")


class FieldReader:
    """Takes the fields of a list one after the other."""

    def __init__(self, fields: object) -> None:
        if type(fields) is not list:
            malformed("a list is missing")
        self._fields = iter(fields)

    def text(self) -> str:
        """Return the next field, a text."""
        field = next(self._fields, _NOTHING)
        if type(field) is not str:
            malformed("a text is missing")
        return field

    def optional_text(self) -> str | None:
        """Return the next field, a text or null."""
        field = next(self._fields, _NOTHING)
        if field is not None and type(field) is not str:
            malformed("a text or null is missing")
        return field

    def number(self, most: int = MAX_NUMBER) -> int:
        """Return the next field, a whole number from 0 to `most`."""
        field = next(self._fields, _NOTHING)
        if type(field) is not int or not 0 <= field <= most:
            malformed(f"a number from 0 to {most} is missing")
        return field

    def flag(self) -> bool:
        """Return the next field, true or false."""
        field = next(self._fields, _NOTHING)
        if type(field) is not bool:
            malformed("true or false is missing")
        return field

    def moment(self) -> datetime:
        """Return the next field, a moment in microseconds since 1970 whose seconds fit 32 bits."""
        return EPOCH + timedelta(microseconds=self.number(_END_OF_MOMENTS - 1))

    def moments(self) -> tuple[datetime, datetime]:
        """Return the next two fields: a moment, and another one by how many microseconds it is earlier."""
        at = self.number(_END_OF_MOMENTS - 1)
        field = next(self._fields, _NOTHING)
        if type(field) is not int or not 0 <= at - field < _END_OF_MOMENTS:
            malformed("a moment before another one is missing")
        return EPOCH + timedelta(microseconds=at), EPOCH + timedelta(microseconds=at - field)

    def optional_moment(self) -> datetime | None:
        """Return the next field, a moment as `moment` has it, or null."""
        field = next(self._fields, _NOTHING)
        if field is None:
            return None
        if type(field) is not int or not 0 <= field < _END_OF_MOMENTS:
            malformed("a moment or null is missing")
        return EPOCH + timedelta(microseconds=field)

    def date(self) -> datetime:
        """Return the next field, any date that there is, in microseconds since 1970."""
        field = next(self._fields, _NOTHING)
        if type(field) is not int or not _FIRST_DATE <= field <= _LAST_DATE:
            malformed("a date is missing")
        return EPOCH + timedelta(microseconds=field)

    def platform(self) -> Platform:
        """Return the next field, a bookmaker."""
        platform = _PLATFORMS.get(self.text())
        if platform is None:
            malformed("a bookmaker is unknown")
        return platform

    def platforms(self) -> list[Platform]:
        """Return the next field, a list of bookmakers."""
        platforms = [_PLATFORMS.get(each) for each in self.texts()]
        known = [each for each in platforms if each is not None]
        if len(known) != len(platforms):
            malformed("a bookmaker is unknown")
        return known

    def rows(self) -> Iterator["FieldReader"]:
        """Yield a reader for each row of the next field, a list of lists. Each has to be read to its end."""
        for row in self._list():
            reader = FieldReader(row)
            yield reader
            reader.end()

    def texts(self) -> list[str]:
        """Return the next field, a list of texts."""
        texts = self._list()
        if not all(type(each) is str for each in texts):
            malformed("a list of texts has something else")
        return texts

    def flags(self, count: int) -> list[bool]:
        """Return the next field, a list of this many times true or false."""
        flags = self._list()
        if len(flags) != count or not all(type(each) is bool for each in flags):
            malformed("a list of true and false is missing")
        return flags

    def end(self) -> None:
        """Check that there is no other field."""
        if next(self._fields, _NOTHING) is not _NOTHING:
            malformed("there are too many fields")

    def _list(self) -> list[Any]:
        field = next(self._fields, _NOTHING)
        if type(field) is not list:
            malformed("a list is missing")
        return field


class ColumnReader:
    """Takes numbers from the columns of a frame, and bytes from its blobs, one after the other."""

    def __init__(self, numbers: "array[int]", blobs: memoryview) -> None:
        self._numbers = numbers
        self._blobs = blobs
        self._place = self._blob_place = 0

    def take(self, count: int) -> "array[int]":
        """Return the next numbers, this many."""
        end = self._place + count
        if end > len(self._numbers):
            malformed("a column is cut off")
        numbers, self._place = self._numbers[self._place : end], end
        return numbers

    def ascending(self, count: int) -> "array[int]":
        """Return the next numbers, this many, each of which has to be greater than the one before."""
        numbers = self.take(count)
        if not is_ascending(numbers):
            malformed("a column does not ascend")
        return numbers

    def big(self, count: int) -> list[int]:
        """Return this many numbers of 64 bits: first comes a column of their lower halves, then one of the upper."""
        lower, upper = self.take(count), self.take(count)
        return [high << 32 | low for low, high in zip(lower, upper, strict=True)]

    def moments(self, count: int) -> list[datetime]:
        """Return this many moments, written as `big` reads them, in microseconds since 1970."""
        micros = self.big(count)
        if max(micros, default=0) >= _END_OF_MOMENTS:
            malformed("a moment is too late")
        return [EPOCH + timedelta(microseconds=each) for each in micros]

    def blob(self, size: int) -> bytes:
        """Return the next bytes of the blobs, this many."""
        end = self._blob_place + size
        if end > len(self._blobs):
            malformed("a blob is cut off")
        blob, self._blob_place = bytes(self._blobs[self._blob_place : end]), end
        return blob

    def end(self) -> None:
        """Check that nothing is left."""
        if self._place != len(self._numbers) or self._blob_place != len(self._blobs):
            malformed("columns or blobs are too long")


def is_ascending(numbers: "array[int]") -> bool:
    """Whether each number is greater than the one before. Takes 10 µs for 400 numbers."""
    rest = iter(numbers)
    next(rest, None)
    return all(map(int.__lt__, numbers, rest))
