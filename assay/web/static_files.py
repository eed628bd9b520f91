"""Scripts and styles, each under a name that has its content's digest: a browser may keep it for ever."""

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@cache
def _files() -> dict[str, tuple[str, bytes, str]]:
    """By plain name: the versioned name, the bytes, the media type."""
    contents = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            versioned = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}"
            contents[path.name] = (versioned, content, _TYPES[path.suffix])
    return contents


def address(name: str) -> str:
    """The path that a page links to."""
    return f"/static/{_files()[name][0]}"


def content(versioned: str) -> tuple[bytes, str] | None:
    """Bytes and media type of a versioned name; None for any other."""
    return next((item[1:] for item in _files().values() if item[0] == versioned), None)
