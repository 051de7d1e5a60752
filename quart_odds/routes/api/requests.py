"""Requests as models: `takes_query` and `takes_body` document a request and validate it with the same model.

They replace quart-schema's `validate_querystring` and `validate_request`, document routes in the same way and raise the
same errors. Clients rely on behaviour that those two do not have:

- `validate_querystring` passes a parameter as a string if it occurs once and as a list otherwise, whatever the type of
  the field, and reads `name[]` as `name`. Here a list field takes every value and any other field the first value;
  unknown names are ignored, or refused if the model says so.
- `validate_request` requires a body with a JSON content type, and does not name the field if the body is not JSON.

`routes.access.problems` turns the errors into responses.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any, TypeVar, get_origin
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema
from quart import request
from quart_schema import (
    RequestSchemaValidationError,
    document_querystring,
    document_request,
    document_response,
)
from quart_schema.validation import QuerystringValidationError
from werkzeug.datastructures import MultiDict

from quart_odds.routes.api.schemas.odds import ProblemBody

MOST_DIGITS = 18
"""The most digits of a whole number in a query string. They fit into 64 bits."""

QUERY_MODEL = "_quart_odds_query_model"
"""The attribute of a view that holds the model of its query string."""

BODY_MODEL = "_quart_odds_body_model"
"""The attribute of a view that holds the model of its body."""

BODY_REQUIRED = "_quart_odds_body_required"
"""The attribute of a view that tells whether its request needs a body."""

R = TypeVar("R")
View = Callable[..., Awaitable[R]]


class Query(BaseModel):
    """A query string. Unknown names are ignored, because older clients send some, unless a model forbids them."""

    # Built when first used: that takes longer than most other parts of a start.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


QueryType = TypeVar("QueryType", bound=Query)


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """Annotation for an `int` in a query string: only ASCII digits, and within bounds."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text before pydantic reads the number: Python refuses more than 4,300 digits."""
        bounded = core_schema.int_schema(ge=self.least, le=self.most)
        return core_schema.no_info_before_validator_function(self._checked, bounded)

    def _checked(self, value: object) -> object:
        if isinstance(value, str):
            is_number = value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS
            if not is_number or not self.least <= int(value) <= self.most:
                raise ValueError(f"give a whole number from {self.least} to {self.most}")
        return value


def takes_query(model: type[Query]) -> Callable[[View[R]], View[R]]:
    """Document the query string with `model`, validate it, and pass it to the route as `query`.

    A request with an invalid query string raises RequestSchemaValidationError.
    """

    def decorate(view: View[R]) -> View[R]:
        @wraps(view)
        async def validated(*args: Any, **kwargs: Any) -> R:
            return await view(*args, query=read_query(model, request.args), **kwargs)

        setattr(validated, QUERY_MODEL, model)
        return document_querystring(model)(_documents_problem(validated))

    return decorate


def takes_body(model: type[BaseModel], *, is_optional: bool = False) -> Callable[[View[R]], View[R]]:
    """Document the JSON body with `model`, validate it, and pass it to the route as `body`.

    An optional body that is empty is passed as None. The content type does not matter. A request whose body is not
    JSON, or is invalid, raises RequestSchemaValidationError.
    """

    def decorate(view: View[R]) -> View[R]:
        @wraps(view)
        async def validated(*args: Any, **kwargs: Any) -> R:
            text = await request.get_data()
            if is_optional and not text.strip():
                return await view(*args, body=None, **kwargs)
            try:
                read = model.model_validate_json(text)
            except ValidationError as error:
                raise RequestSchemaValidationError(error) from None
            return await view(*args, body=read, **kwargs)

        setattr(validated, BODY_MODEL, model)
        setattr(validated, BODY_REQUIRED, not is_optional)
        return document_request(model)(_documents_problem(validated))

    return decorate


def query_fields() -> "MultiDict[str, str]":
    """Return the query string, for a page that shows what is wrong with it at the fields of its form."""
    return request.args


async def form_fields() -> "MultiDict[str, str]":
    """Return the fields of the form that a page sent."""
    return await request.form


def _documents_problem(view: View[R]) -> View[R]:
    return document_response(ProblemBody, 400)(view)


def read_query(model: type[QueryType], arguments: "MultiDict[str, str]") -> QueryType:
    """Return the query string as `model`. Raises RequestSchemaValidationError."""
    is_list = _list_fields(model)
    is_strict = model.model_config.get("extra") == "forbid"
    given = {
        name: values if is_list.get(name) else values[0]
        for name, values in arguments.lists()
        if name in is_list or is_strict
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise QuerystringValidationError(error) from None


@cache
def _list_fields(model: type[Query]) -> dict[str, bool]:
    """Return whether each parameter, by name, is a list."""
    return {field.alias or name: get_origin(field.annotation) is list for name, field in model.model_fields.items()}


def query_of_page(number: int) -> str:
    """Return the query string of the current request with another `page`."""
    asked = [(name, value) for name, value in request.args.items(multi=True) if name != "page"]
    return urlencode([*asked, ("page", str(number))])
