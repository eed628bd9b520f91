"""Which messages were shown the last time: who runs the pipeline every hour reads each line once."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

FILE = "shown-messages.json"


def not_shown_before(messages: Sequence[str], home: Path) -> list[str]:
    """Those that were not among the last ones, which these take the place of. Where that cannot be kept, all are shown again.

    Args:
        messages: All that hold now.
        home: Where they are kept, as digests.
    """
    file = home / FILE
    digests = [hashlib.sha256(message.encode(errors="surrogateescape")).hexdigest() for message in messages]
    before = _read(file)
    if before != digests:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(digests), encoding="utf-8")
    return [message for message, digest in zip(messages, digests, strict=True) if digest not in before]


def _read(file: Path) -> list[str]:
    with suppress(OSError, ValueError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        return kept if isinstance(kept, list) else []
    return []
