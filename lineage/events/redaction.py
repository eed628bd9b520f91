"""Nothing secret leaves in an event: the last gate before an event is stored or sent.

Events are made of names and counts and should hold no secret to begin with. Addresses and messages come from outside,
though, and one connection string in an error text would be kept for years in every lineage backend.
"""

import re
from functools import lru_cache
from typing import Any

MASK = "***"
_REMEMBERED = 200  # characters; longer texts hardly come twice

# user:password@ of a URL. The look-ahead spares host:port; passwords may hold unescaped slashes and at-signs.
_PASSWORD = re.compile(
    r"""([a-z][a-z0-9+.-]*://)[^\s/:@]*:(?!\d{1,5}(?:[/?\#\s"']|$))[^\s"'<>]*?@(?:[^\s/@"'<>]*@)*""", re.IGNORECASE
)
# user@ alone is often a token. In Azure's schemes it is a container, in git's and ssh's a fixed user.
_USER = re.compile(r"((?!abfss?|wasbs?|ssh|git)\b[a-z][a-z0-9+.]*://)[^\s/:@\"'<>]+@", re.IGNORECASE)
_SECRET = r"(?:pass(?:word|wd)?|pwd|secret|token|api[_-]?key|(?:secret_)?access[_-]?key(?:[_-]?id)?|sig(?:nature)?|credentials?)"
_ASSIGNED = re.compile(rf"(\b[\w.-]*{_SECRET}\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,\"']+)", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:AKIA[0-9A-Z]{16}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|gh[pousr]_\w{20,}|sk-[\w-]{16,})\b")
# What every pattern above needs: a text without any of it, as most are, holds no credentials.
_SUSPICIOUS = re.compile(r"[@=\s]|AKIA|eyJ|gh[pousr]_|sk-")
_SECRET_KEY = re.compile(rf"^(?:.*[_.-])?{_SECRET}$|^authorization$", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_DIGITS = re.compile(r"\b(?:\d[ -]?){12,18}\d\b")


def redact_text(text: str) -> str:
    """The text without credentials."""
    return _remembered(text) if len(text) <= _REMEMBERED else _redact_text(text)


def _redact_text(text: str) -> str:
    if not _SUSPICIOUS.search(text):
        return text
    if "@" in text and "://" in text:
        text = _USER.sub(r"\1", _PASSWORD.sub(r"\1", text))
    if "=" in text:
        text = _ASSIGNED.sub(rf"\1{MASK}", text)
    return _TOKEN.sub(MASK, _BEARER.sub(rf"\1 {MASK}", text))


_remembered = lru_cache(4096)(_redact_text)  # one event says the same names and schemas many times


def redact_message(text: str) -> str:
    """A message for people, without credentials and without what looks like an e-mail address or a card number.

    Assay's own messages hold neither; this is for the day when one does by mistake.
    """
    return _DIGITS.sub(MASK, _EMAIL.sub(MASK, redact_text(text)))


def redact(value: Any, key: str = "") -> Any:
    """Any JSON value without credentials; texts under a key such as `password` are masked whole."""
    if isinstance(value, str):
        return MASK if value and is_secret(key) else redact_text(value)
    if isinstance(value, dict):
        return {name: redact(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [redact(item, key) for item in value]
    return value


@lru_cache(4096)
def is_secret(key: str) -> bool:
    """Whether what is called so is masked whole."""
    return _SECRET_KEY.match(key) is not None
