"""Masking of passwords in displayed text: drivers and clients repeat database and proxy URLs in their errors."""

import re
from urllib.parse import unquote

MASK = "***"

_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "ticket",
)
_NAMES = frozenset({"pass", "key", "user", "username"})

# Matches up to the last @ before whitespace or a quote, because people use passwords that contain @ and /.
_USER_INFO = re.compile(r"(?<=://)[^ \t\r\n'\"<>]*@")
_ARGUMENT = re.compile(r"(?P<before>[?&;])(?P<name>[^=&;?# \t\r\n'\"]+)=(?:\*{3}|[^&# \t\r\n'\"<>]*)")
_PAIR = re.compile(
    r"(?i)\b(?P<name>password|passwd|pwd|secret)(?P<sign>['\"]?\s*[=:]\s*)(?P<value>'[^']*'|\"[^\"]*\"|[^\s,;&'\"]+)"
)


def masked(text: str) -> str:
    """Replace the user and password of each URL, and arguments such as `?password=`, with `***`."""
    if "://" in text:
        text = _USER_INFO.sub(f"{MASK}@", text)
    if "=" in text:
        text = _ARGUMENT.sub(_mask_argument, text)
    return _PAIR.sub(rf"\g<name>\g<sign>{MASK}", text)


def _mask_argument(found: re.Match[str]) -> str:
    name = unquote(found["name"]).lower()
    is_secret = name in _NAMES or any(word in name for word in _WORDS)
    return f"{found['before']}{found['name']}={MASK}" if is_secret else found[0]
