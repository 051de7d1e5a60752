"""Which extras of the package are installed, and which the settings need."""

import importlib.util

from quart_odds.doctor.findings import Finding, failed, ok
from quart_odds.settings import Settings

MODULES = {
    "postgres": "asyncpg",
    "redis": "redis",
    "alerts": "apprise",
    "export": "pyarrow",
    "jwt": "jwt",
    "otel": "opentelemetry.sdk",
}
"""A module of each extra that a server or a command uses."""


def extras(settings: Settings, apprise_targets: int = 0) -> list[Finding]:
    """Return a finding for all extras, and one for each that is needed and missing.

    `apprise_targets` is the number of targets of alerts that need Apprise.
    """
    needs = {
        "postgres": "" if settings.database_url.startswith("sqlite") else "QUART_ODDS_DATABASE_URL names PostgreSQL",
        "redis": "" if settings.engine_url is None else "QUART_ODDS_ENGINE_URL is set",
        "jwt": "" if settings.jwt_jwks_url is None else "QUART_ODDS_JWT_JWKS_URL is set",
        "otel": "" if settings.otel_endpoint is None else "QUART_ODDS_OTEL_ENDPOINT is set",
        "alerts": f"{apprise_targets} targets of alerts are Apprise's" if apprise_targets else "",
    }
    installed = {extra: _is_there(module) for extra, module in MODULES.items()}
    there = ", ".join(extra for extra, is_there in installed.items() if is_there) or "none"
    missing = [(extra, reason) for extra, reason in needs.items() if reason and not installed[extra]]
    others = ", ".join(extra for extra, is_there in installed.items() if not is_there and not needs.get(extra))
    detail = f"installed: {there}" + (f"; not needed: {others}" if others else "")
    return [
        ok("extras", detail, **installed),
        *(
            failed(f"extras.{extra}", f"{extra} is missing: {reason}", f"pip install 'quart-odds[{extra}]'")
            for extra, reason in missing
        ),
    ]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package of a module in it
        return False
