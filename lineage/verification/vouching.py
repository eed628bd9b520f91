"""Who vouches for a commit, and who is wrong where two records of it differ.

Later commits of its table carry the digest of a commit, commits that read it do, its seal does (see
`assay.features.storage.seals`), and so does a witness outside of the lake. A commit that differs from all of them was changed;
where one record alone differs from the commit and from better ones, that record was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Strength(IntEnum):
    """How much a record counts against another. A commit for which others vouch themselves cannot be changed alone."""

    ALONE = 1  # a commit for which nobody vouches
    KEPT = 2  # a file or a row of its own: a seal, a witness
    VOUCHED = 3  # a commit for which others vouch


@dataclass(frozen=True, slots=True)
class Record:
    """Somebody's record of a commit: `by` names who, `sha256` what it was."""

    by: str
    sha256: str
    strength: Strength


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of a commit: whether anybody vouches for it, whether it `was_changed` for certain, and who is `accused` of what."""

    vouched: bool
    was_changed: bool = False
    accused: tuple[tuple[str, str], ...] = ()


def judge(name: str, sha256: str, records: Sequence[Record]) -> Judgement:
    """What the records of a commit say of it.

    Args:
        name: What the commit is called.
        sha256: What it is now.
        records: Of it, as others have them.
    """
    agree = [record for record in records if record.sha256 == sha256]
    differ = [record for record in records if record.sha256 != sha256]
    if not differ:
        return Judgement(bool(agree))
    best_for = max((record.strength for record in agree), default=0)
    best_against = max(record.strength for record in differ)
    names = ", ".join(dict.fromkeys(record.by for record in differ))
    if best_against > best_for:
        if best_against is Strength.VOUCHED or len({record.by for record in differ}) > 1:
            return Judgement(False, True, ((name, f"was changed: {names} recorded other bytes"),))
        return Judgement(False, True, ((name, f"was changed after it was recorded, or the record was: {names}"),))
    if best_against == best_for:
        return Judgement(True, False, ((name, f"was changed, or these records of it were: {names}"),))
    accused = dict.fromkeys(record.by for record in differ)
    return Judgement(
        True, False, tuple((by, f"recorded another commit than {name} is: it was changed") for by in accused)
    )
