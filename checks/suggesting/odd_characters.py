"""Characters that come from a wrong encoding or of another script, and spaces around a value."""

import numpy as np

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn

#: UTF-8 read as Windows-1252: a lead byte as Ã or Â, and a continuation byte as what it stands for there.
_CONTINUATION = r"[\x{80}-\x{BF}‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸ]"
_REASONS = (
    (rf"\x{{FFFD}}|[ÃÂ]{_CONTINUATION}|â€", 0.95, "It holds characters of a wrong encoding."),
    (
        r"[\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}\x{200B}\x{FEFF}]",
        0.9,
        "It holds a character that cannot be seen.",
    ),
    (
        r"[A-Za-z][\p{Cyrillic}\p{Greek}]|[\p{Cyrillic}\p{Greek}][A-Za-z]",
        0.85,
        "It mixes letters of two scripts in one word.",
    ),
    (r"&(?:amp|lt|gt|quot|nbsp|#[0-9]+);", 0.85, "It holds a character as HTML writes it."),
    (r"^\s|\s$", 0.8, "There are spaces around the value."),
)
#: What a larger share of the rows has is the column's way of writing.
RARE = 0.1


def odd_characters(column: TextColumn) -> Findings:
    for pattern, confidence, reason in _REASONS:
        mask = column.values.str.contains(pattern).to_numpy()
        if 0 < column.share(mask) <= RARE:
            for value in np.flatnonzero(mask):
                yield Finding(column.name, column.rows_of(int(value)), confidence, reason)
