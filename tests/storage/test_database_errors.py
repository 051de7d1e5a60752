"""What an operator and everybody else are told of an error of the database."""

import pytest
from sqlalchemy import make_url

from quart_odds.errors import StorageError
from quart_odds.storage.database_errors import translated


def test_a_server_that_does_not_answer_in_time_is_said_so() -> None:
    """The name of an exception says nothing of what to do. Only the operator learns which server it is."""
    with pytest.raises(StorageError) as raised, translated(make_url("postgresql://odds:secret@db.example/odds")):
        raise TimeoutError
    told = "the server does not answer in time: check that it can be reached, and how busy it is"
    assert str(raised.value) == told
    assert raised.value.for_operator == f"postgresql://***@db.example/odds: {told} (TimeoutError)"
