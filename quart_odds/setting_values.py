"""The settings as they are: value, where it came from, and what is wrong with it. Secrets are masked."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from quart_odds.addresses import shown_text
from quart_odds.domain.secrets import MASK
from quart_odds.settings import PREFIX, SettingProblem, Settings, read_settings

_SECRET_WORDS = ("token", "secret", "password", "passphrase", "key")
_URL_ENDINGS = ("_url", "_proxy", "_endpoint")


class Source(StrEnum):
    """Where the value of a setting came from."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A setting. `value` is as JSON has it, without secrets; None if it is not set, or wrong and maybe secret.

    `problem` says what is wrong with it, None if nothing is.
    """

    name: str
    value: Any
    source: Source
    problem: str | None = None

    @property
    def text(self) -> str:
        """The value as the environment would give it."""
        if isinstance(self.value, list):
            return ",".join(map(str, self.value))
        if isinstance(self.value, bool):
            return str(self.value).lower()
        return "" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class SettingValues:
    """All settings, and the names in the environment that are no settings, with what might be meant."""

    settings: tuple[SettingValue, ...]
    unknown: tuple[SettingProblem, ...]

    @property
    def are_valid(self) -> bool:
        """Whether a server would start with them."""
        return not self.unknown and all(each.problem is None for each in self.settings)


def setting_values(options: Mapping[str, str], environ: Mapping[str, str] | None = None) -> SettingValues:
    """Return the settings of an environment (by default this process's), with `options` in place of what it sets.

    `options` has values by the name of the variable.
    """
    environ = os.environ if environ is None else environ
    given = {**environ, **options}
    settings, problems = read_settings(given)
    reasons = {
        name: "; ".join(each.reason for each in problems if each.name == name)
        for name in {each.name for each in problems}
    }
    return SettingValues(
        tuple(_values(settings, given, options, reasons)), tuple(each for each in problems if each.is_unknown)
    )


def values_in_effect(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[SettingValue, ...]:
    """Return the settings of a process that has started. What neither its environment nor a default says is an option.

    That is one of its command line, or of the program that it is part of.
    """
    environ = os.environ if environ is None else environ
    given, _ = read_settings(environ)
    values, from_environment = settings.model_dump(mode="json"), given.model_dump(mode="json")
    found = []
    for field in type(settings).model_fields:
        name, value = variable(field), values[field]
        source = Source.ENVIRONMENT if name in environ else Source.DEFAULT
        if value != from_environment[field]:
            source = Source.OPTION
        found.append(SettingValue(name, _shown(field, value), source))
    return tuple(found)


def variable(name: str) -> str:
    """Return the name of the variable of a setting, which may be given without the prefix or in small letters."""
    name = name.strip().upper()
    return name if name.startswith(PREFIX) else PREFIX + name


def _values(
    settings: Settings, given: Mapping[str, str], options: Mapping[str, str], reasons: Mapping[str, str]
) -> Iterator[SettingValue]:
    values = settings.model_dump(mode="json")
    for field in type(settings).model_fields:
        name = variable(field)
        source = Source.OPTION if name in options else Source.ENVIRONMENT if name in given else Source.DEFAULT
        problem = reasons.get(name)
        # A value that is wrong may be a secret in any form.
        value = values[field] if problem is None else None if _may_be_secret(field) else shown_text(given.get(name, ""))
        yield SettingValue(name, _shown(field, value), source, problem)


def _shown(field: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(field, each) for each in value]
    if not isinstance(value, str):
        return value
    return MASK if value and any(word in field.split("_") for word in _SECRET_WORDS) else shown_text(value)


def _may_be_secret(field: str) -> bool:
    return field.endswith(_URL_ENDINGS) or any(word in field.split("_") for word in _SECRET_WORDS)
