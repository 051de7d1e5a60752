"""What a stream can show, by the variables that users and their tools set."""

import pytest

from quart_odds.domain.terminals import has_colour, is_live


class FakeStream:
    """A stream that is a terminal or not."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """See Stream."""
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "environ", "live", "colour"),
    [
        (True, {"TERM": "xterm"}, True, True),
        (True, {}, True, True),
        (False, {"TERM": "xterm"}, False, False),
        (True, {"TERM": "dumb"}, False, False),
        (True, {"NO_COLOR": "1"}, True, False),
        (True, {"NO_COLOR": ""}, True, True),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        (False, {"FORCE_COLOR": ""}, False, False),
    ],
)
def test_colours_and_redrawing_are_two_things(
    is_terminal: bool, environ: dict[str, str], live: bool, colour: bool
) -> None:
    """FORCE_COLOR makes no terminal of a file, and NO_COLOR takes none away."""
    stream = FakeStream(is_terminal)
    assert (is_live(stream, environ), has_colour(stream, environ)) == (live, colour)
