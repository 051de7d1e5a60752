"""The envelope around the answers of SportyBet and MSport: a code, a message and the data, with HTTP status 200."""

from typing import Any

from quart_odds.bookmakers.fields import Reader
from quart_odds.errors import MalformedBodyError, NotFoundError

_OK = 10000
_UNKNOWN = 19000
"""The code for an unknown id, and for a wrong request. Any other error code does not mean that an event is gone."""


def content(read: Reader, body: dict[str, Any], kind: Any = dict, *, is_our_fault: str = "") -> Any:
    """Return the data of the envelope, which must have type `kind`.

    Raises NotFoundError if the site does not know the requested event, and MalformedBodyError for other errors. A
    message that contains `is_our_fault` complains about the request and says nothing about the event.
    """
    code = read.get(body, "bizCode", int)
    if code != _OK:
        message = read.optional_text(body, "message")[:80]
        is_wrong_request = bool(is_our_fault) and is_our_fault in message.lower()
        is_gone = code == _UNKNOWN and (read.where or "").startswith("event ") and not is_wrong_request
        raise (NotFoundError if is_gone else MalformedBodyError)(
            read.platform, f"answered bizCode {code} {message!r}", where=read.where, field="bizCode"
        )
    data = body.get("data")
    if not isinstance(data, kind):
        raise read.wrong("data", f"a {type(data).__name__}")
    return data
