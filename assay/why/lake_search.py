"""What a text finds that only the lake knows: models by name and version or by digest, contracts by digest, rules by the sentence
that says what they demand, decisions about rows, and suggestions.

Each part looks at the lake only for a text that it could be the name of.
"""

import functools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

import polars as pl

from assay.assets.stored_contracts import stored_contract, stored_digests
from assay.checks.suggesting.suggest import suggestion_id
from assay.errors import AssayError
from assay.features.tables.kinds import Kind as TableKind
from assay.features.tables.kinds import own_name
from assay.features.tables.lake import Lake, TableState
from assay.lineage.predictions.find_prediction import UNREADABLE
from assay.lineage.store.labels import plain_words
from assay.own_columns import is_link
from assay.why.judged_by import meaning

Kind = Literal["model", "contract", "rule", "decision", "suggestion"]
CELLS = 500_000  # of raw tables whose ids are compared with a suggestion's
_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_SUGGESTION = re.compile(r"[0-9a-f]{10}")
_DECISION = re.compile(r"[0-9a-f][0-9a-f-]{5,35}")
_MODEL = re.compile(r"(?:models/)?(?P<name>\w+)[ @]v?(?P<version>[\w.]+)", re.IGNORECASE)
_SENTENCE = 2  # words at least
_LINK = ("_source_sha256", "_row_number")


@dataclass(frozen=True, slots=True)
class LakeHit:
    """`title`: as it is printed. `table`: where it is. `about`: what it is."""

    kind: Kind
    title: str
    table: str
    about: str


def search_lake(lake: Lake, text: str, limit: int = 50) -> list[LakeHit]:
    """The best first; nothing for a text that only names tables, columns and runs."""
    text = text.strip()
    return list(dict.fromkeys(islice(_hits(lake, text), limit)))


def find_suggestion(lake: Lake, text: str) -> list[LakeHit]:
    """The cell of a raw table that the id of a suggestion is about. No id is stored: that of each cell is worked out, up to a
    limit (`CELLS`), so it is asked for what nothing else has as its id."""
    identity = text.strip().lower()
    return list(_suggestions(lake, identity)) if _SUGGESTION.fullmatch(identity) else []


def _hits(lake: Lake, text: str) -> Iterator[LakeHit]:
    low = text.lower()
    if (named := _MODEL.fullmatch(text)) or _DIGEST.fullmatch(low):
        yield from _models(lake, low, named)
    if _DIGEST.fullmatch(low):
        yield from _contracts(lake, low)
    if _DECISION.fullmatch(low):
        yield from _decisions(lake, low)
    if len(words := plain_words(text)) >= _SENTENCE:
        yield from _rules(lake, frozenset(words))


def _states(lake: Lake, kind: TableKind) -> Iterator[TableState]:
    """Tables that may be read; what is wrong with others, their own pages say."""
    for name in lake.tables(kind.folder):
        with suppress(AssayError):
            yield lake.table(name).at()


def _models(lake: Lake, text: str, named: re.Match[str] | None) -> Iterator[LakeHit]:
    for state in _states(lake, TableKind.MODELS):
        name = own_name(state.table.name)
        if not _DIGEST.fullmatch(text) and (named is None or named["name"].lower() != name.lower()):
            continue
        with suppress(*UNREADABLE):
            for version, sha256 in state.scan().select("model_version", "sha256").collect().iter_rows():
                if sha256.startswith(text) or (named is not None and named["version"] == version):
                    yield LakeHit("model", f"{name} {version}", state.table.name, f"SHA-256 {sha256}")


# -- contracts ---------------------------------------------------------------------------------------------------------


def _contracts(lake: Lake, beginning: str) -> Iterator[LakeHit]:
    for digest in stored_digests(lake.storage):
        if digest.startswith(beginning) and (declared := _declared(lake, digest)) is not None:
            for state in _judged_by(lake, declared.name):
                yield LakeHit("contract", declared.title, state.table.name, f"SHA-256 {digest}")


def _rules(lake: Lake, words: frozenset[str]) -> Iterator[LakeHit]:
    """The rules whose sentences have all these words."""
    for digest in stored_digests(lake.storage):
        declared = _declared(lake, digest)
        for rule, sentence, its_words in declared.rules if declared is not None else ():
            if words <= its_words:
                for state in _judged_by(lake, declared.name if declared is not None else ""):
                    yield LakeHit("rule", rule, state.table.name, sentence)


@dataclass(frozen=True, slots=True)
class _Declared:
    """Of a contract that the lake keeps: each rule with its sentence and the words of that."""

    name: str
    title: str
    rules: tuple[tuple[str, str, frozenset[str]], ...]


def _declared(lake: Lake, digest: str) -> _Declared | None:
    try:
        text = stored_contract(lake.storage, digest)
    except AssayError:  # damaged: `assay doctor` says so
        return None
    return _read(text) if text is not None else None


@functools.lru_cache(1_000)
def _read(text: str) -> _Declared | None:
    try:
        declared = json.loads(text)
        sentences = [(rule, meaning(rule, declared)) for rule, *_ in declared["rules"]]
        version = declared["options"].get("version") or ""
    except (KeyError, ValueError):  # of an earlier form
        return None
    rules = [(rule, sentence, frozenset(plain_words(sentence))) for rule, sentence in sentences]
    return _Declared(declared["name"], f"{declared['name']} {version}".strip(), tuple(rules))


def _judged_by(lake: Lake, contract: str) -> Iterator[TableState]:
    for state in _states(lake, TableKind.CLEAN):
        with suppress(AssayError):
            if (state.last_commit.contract or {}).get("name") == contract:
                yield state


# -- rows --------------------------------------------------------------------------------------------------------------


def _decisions(lake: Lake, beginning: str) -> Iterator[LakeHit]:
    for state in _states(lake, TableKind.RELEASES):
        with suppress(*UNREADABLE):
            ids = state.scan().filter(pl.col("decision_id").str.starts_with(beginning))
            found = ids.group_by("decision_id", "action").len().sort("decision_id").collect()
            for identity, action, rows in found.iter_rows():
                about = f"{action} of {rows:,} {'row' if rows == 1 else 'rows'} of {own_name(state.table.name)}"
                yield LakeHit("decision", identity, state.table.name, about)


def _suggestions(lake: Lake, identity: str) -> Iterator[LakeHit]:
    left = CELLS
    for state in _states(lake, TableKind.RAW):
        columns = [name for name in state.schema if not is_link(name)]
        if not set(_LINK) <= set(state.schema) or not columns:
            continue
        with suppress(*UNREADABLE):
            links = state.scan().select(_LINK).head(left // len(columns)).collect()
            left -= links.height * len(columns)
            for column, (sha256, row) in product(columns, links.iter_rows()):
                if suggestion_id(column, f"{sha256[:12]}:{row}") == identity:
                    about = f"column {column} of row {sha256[:12]}:{row}"
                    yield LakeHit("suggestion", identity, state.table.name, about)
