"""Targets: which URLs are accepted, how they are shown, and the secrets that webhooks are signed with."""

import re
import secrets
from importlib.util import find_spec
from urllib.parse import parse_qsl, unquote, urlsplit

from quart_odds.alerts.values import TargetKind
from quart_odds.domain.secrets import MASK
from quart_odds.errors import AlertInputError

MAX_URL_LENGTH = 2000
MAX_NAME_LENGTH = 100

WEBHOOK_SCHEMES = ("https", "http")

_OWN_HOST = (
    "apprise apprises bark barks form forms gotify gotifys hassio hassios json jsons matrix matrixs mmost mmosts "
    "nctalk nctalks ntfy ntfys rocket rockets signal signals xml xmls"
)
OWN_HOST_SCHEMES = frozenset(_OWN_HOST.split())
"""Apprise schemes of services that anybody can run, so the URL names a host."""

_HOSTED = (
    "brevo discord gchat guilded ifttt line mailersend mailgun mailto mailtos opsgenie pagerduty pagertree pbul "
    "postmark pover prowl pushed pushy resend revolt ryver sendgrid simplepush slack smtp2go sparkpost splunk "
    "spush tgram threema twilio twist victorops webex wechat wecombot whatsapp workflow workflows wxteams zulip"
)
HOSTED_SCHEMES = frozenset(_HOSTED.split())
"""Apprise schemes of services at a provider."""

APPRISE_SCHEMES = OWN_HOST_SCHEMES | HOSTED_SCHEMES
"""All others are refused: those that reach this machine, its desktop or its log, and those that few people use."""

FORBIDDEN_ARGUMENTS = frozenset({"redirect", "template", "attach", "attach-as", "pgp", "pgppub", "pgpprv", "filename"})
"""Arguments of Apprise URLs that read files of this machine or lead to other addresses."""

INSTALL_APPRISE = "Apprise is not installed; install it with pip install 'quart-odds[alerts]'"

_SCHEME = re.compile(r"([a-z0-9+.-]{1,32})://", re.IGNORECASE)


def is_apprise_installed() -> bool:
    """Return whether Apprise can be imported. It is not imported for that."""
    return find_spec("apprise") is not None


def checked_url(kind: TargetKind, url: str) -> str:
    """Return a target's URL, if it can be used. Raises AlertInputError, which does not repeat what may be a secret."""
    if not url.isprintable() or " " in url or len(url) > MAX_URL_LENGTH:
        raise AlertInputError("url", f"give one URL without spaces, of at most {MAX_URL_LENGTH} characters")
    return _webhook_url(url) if kind is TargetKind.WEBHOOK else _apprise_url(url)


def checked_name(name: str) -> str:
    """Return a target's or a rule's name. Raises AlertInputError."""
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_LENGTH:
        raise AlertInputError("name", f"give a name of 1 to {MAX_NAME_LENGTH} printable characters")
    return name.strip()


def shown(url: str) -> str:
    """Return what may be shown of a target's URL: scheme, host and port if the host is no secret, and no more."""
    scheme = scheme_of(url)
    hidden = f"{scheme}://{MASK}"
    if scheme not in WEBHOOK_SCHEMES and scheme not in OWN_HOST_SCHEMES:
        return hidden
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return hidden
    if "@" in url and "@" not in parts.netloc:
        return hidden  # a password with a slash: what looks like the host is the user
    if scheme not in WEBHOOK_SCHEMES and host != "localhost" and "." not in host and ":" not in host:
        return hidden  # some services take a topic or a token in place of the host
    place = f"[{host}]" if ":" in host else host
    is_whole = parts.path in ("", "/") and not parts.query and "@" not in parts.netloc
    return f"{scheme}://{place}{'' if port is None else f':{port}'}{'' if is_whole else f'/{MASK}'}"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case; empty if it has none."""
    found = _SCHEME.match(url)
    return "" if found is None else found[1].lower()


def new_secret() -> str:
    """Return a new secret to sign requests with."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def _webhook_url(url: str) -> str:
    allowed = "a webhook is https://host[:port][/path], or http://… for a server that has no TLS"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AlertInputError("url", allowed) from None
    if parts.scheme.lower() not in WEBHOOK_SCHEMES or not parts.hostname or port == 0:
        raise AlertInputError("url", allowed)
    if "@" in parts.netloc:
        raise AlertInputError("url", "leave out user and password: the signature proves who sends a webhook")
    if parts.fragment or "\\" in url:
        raise AlertInputError("url", allowed)
    return url


def _apprise_url(url: str) -> str:
    if not is_apprise_installed():
        raise AlertInputError("url", INSTALL_APPRISE)
    scheme = scheme_of(url)
    if scheme not in APPRISE_SCHEMES:
        raise AlertInputError(
            "url",
            f"{scheme or 'a URL without a scheme'} is no service that alerts are sent to; "
            f"there are {', '.join(sorted(APPRISE_SCHEMES))}",
        )
    query = url.partition("?")[2]
    names = {unquote(name).strip().lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    if refused := names & FORBIDDEN_ARGUMENTS:
        raise AlertInputError("url", f"leave out the argument {', '.join(sorted(refused))}")
    return url
