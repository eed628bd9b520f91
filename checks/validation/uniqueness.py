"""Rules about several rows at once: unique keys and canonical names. The first clean row of a group stays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from operator import or_
from typing import Any, Protocol

import polars as pl

from assay.checks.contract.rules import Column, SetRule
from assay.checks.validation.parse import typed
from assay.errors import AssayError

Values = tuple[Any, ...]
_FEW = 200  # rows, which are looked at one by one in less time than a query takes
#: Key -> the entities that have it (None stands for rows that have no entity).
Owners = dict[Values | None, set[Values | None]]


@dataclass(frozen=True, slots=True)
class Groups:
    """One rule's groups in a batch: key columns and entity columns per row. A row with a null key is in no group."""

    rule: SetRule
    key: pl.DataFrame
    entity: pl.DataFrame | None


class PublishedRows(Protocol):
    """Rows accepted earlier, where nobody wants to read all of them."""

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """The accepted rows whose key has one of these fingerprints (see `fingerprint`), and any others."""
        ...


@dataclass(frozen=True, slots=True)
class AllRows:
    """Accepted rows that are simply read."""

    rows: pl.LazyFrame

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        del rule, prints
        return self.rows


def constant(value: bool | None, height: int) -> pl.Series:
    """One truth value for every row."""
    return pl.Series([value], dtype=pl.Boolean).new_from_index(0, height)


def key_expressions(rule: SetRule) -> list[pl.Expr]:
    """The key's columns under neutral names, so that a batch and the published rows can be joined on them."""
    return [expr.alias(f"key{index}") for index, expr in enumerate(rule.key)]


def fingerprint(key: Iterable[pl.Expr]) -> pl.Expr:
    """64 bits of a key, null if one of its values is: equal keys have equal ones, different keys hardly ever."""
    values = list(key)
    present = pl.all_horizontal(value.is_not_null() for value in values)
    return pl.when(present).then(pl.struct(value.alias(f"{index}") for index, value in enumerate(values)).hash())


def broken_rows(
    groups: Sequence[Groups], clean: pl.Series, published: PublishedRows | None, columns: Mapping[str, Column]
) -> list[list[int]]:
    """For each rule the positions of the rows that break it.

    A row breaks the rule when its key belongs to a published row, or to an earlier row that stays: one that breaks neither
    another removing rule (`clean`) nor a removing rule of these. A row whose entity has the key already does not break it.
    Raises AssayError when the published rows lack a column.
    """
    owners = [_published_owners(group, published, columns) for group in groups]
    # Only rows that share a key with another row can break or decide anything; usually these are few.
    shared = [_shared(group.key, owned) for group, owned in zip(groups, owners, strict=True)]
    if sum(rows.any() for rows in shared) == 1:
        index = next(index for index, rows in enumerate(shared) if rows.any())
        if groups[index].entity is None and shared[index].sum() > _FEW:
            found = [[] for _ in groups]
            found[index] = _broken_alone(groups[index], shared[index].arg_true(), clean, owners[index])
            return found
    suspects = reduce(or_, shared).arg_true() if shared else pl.Series(dtype=pl.UInt32)
    members = zip(*(_members(group, suspects) for group in groups), strict=True)
    broken: list[list[int]] = [[] for _ in groups]
    for position, stays, row in zip(suspects, clean.gather(suspects), members, strict=False):
        for index, (key, entity) in enumerate(row):
            taken = owners[index].get(key)
            if taken and (entity is None or entity not in taken):
                broken[index].append(position)
                stays = stays and not groups[index].rule.severity.removes_row
        if stays:
            for owned, (key, entity) in zip(owners, row, strict=True):
                if key is not None:
                    owned.setdefault(key, set()).add(entity)
    return broken


def _broken_alone(group: Groups, suspects: pl.Series, clean: pl.Series, owned: Owners) -> list[int]:
    """The same for the usual case, that rows share keys of one rule only: then what other rules say is settled, and the
    first clean row of a key stays."""
    names = group.key.columns
    rows = group.key.lazy().select(pl.all().gather(suspects), position=suspects, clean=clean.gather(suspects))
    first = pl.col("position").filter("clean").min().over(names)
    broken = rows.with_columns(later=(pl.col("position") > first).fill_null(False))
    if owned:
        broken = broken.join(_taken(group.key, owned), on=names, how="left", maintain_order="left")
        broken = broken.with_columns(later=pl.col("later") | pl.col("taken").fill_null(False))
    return broken.filter("later").select("position").collect(engine="in-memory").to_series().to_list()


def _taken(key: pl.DataFrame, owned: Owners) -> pl.LazyFrame:
    """The published keys, each beside `taken`, which is true."""
    return pl.LazyFrame(list(owned), schema=key.schema, orient="row").with_columns(taken=pl.lit(True))


def published_inputs(rule: SetRule, published: pl.LazyFrame, columns: Mapping[str, Column]) -> pl.LazyFrame:
    """What the rule reads of the published rows, in the contract's types. Raises AssayError when they lack a column."""
    present = published.collect_schema()
    for name in rule.inputs:
        if name not in present:
            raise AssayError(
                f"{rule.name}: the published rows have no column {name!r}; pass the table the contract is for"
            )
    return published.select(typed(pl.col(name), present[name], columns[name]).alias(name) for name in rule.inputs)


def published_prints(rule: SetRule, published: pl.LazyFrame, columns: Mapping[str, Column]) -> pl.LazyFrame:
    """The fingerprints (column `key`) of the rule's keys in published rows: null where a row has none."""
    return published_inputs(rule, published, columns).select(key=fingerprint(rule.key))


def _published_owners(group: Groups, published: PublishedRows | None, columns: Mapping[str, Column]) -> Owners:
    """The keys of the batch that are published already, and whose they are."""
    if published is None:
        return {}
    rule = group.rule
    entity = [pl.col(name).alias(f"entity{index}") for index, name in enumerate(rule.entity or ())]
    prints = group.key.select(fingerprint(map(pl.col, group.key.columns))).to_series()
    rows = (
        published_inputs(rule, published.having(rule, prints.drop_nulls()), columns)
        .select(*key_expressions(rule), *entity)
        .join(group.key.lazy().drop_nulls().unique(), on=group.key.columns, how="semi")
        .unique()
        .collect(engine="streaming")
    )
    owned: Owners = {}
    width = group.key.width
    for row in rows.iter_rows():
        owned.setdefault(row[:width], set()).add(row[width:] if rule.entity else None)
    return owned


def repeated(prints: pl.Series) -> pl.Series:
    """The fingerprints that occur more than once, some of them several times. Numbers are sorted faster than texts are
    compared."""
    ordered = (prints.drop_nulls() if prints.null_count() else prints).sort()
    return ordered[1:].filter(ordered[1:] == ordered[:-1])


def _shared(key: pl.DataFrame, owned: Owners) -> pl.Series:
    """Which rows have a key that another row of the batch or a published row has too."""
    # What two different keys share by chance decides nothing.
    plain = key.width == 1 and not key.to_series().null_count()
    prints = key.to_series().hash() if plain else key.select(fingerprint(map(pl.col, key.columns))).to_series()
    twice = repeated(prints)
    if twice.is_empty() and not owned:
        return constant(False, key.height)
    shared = prints.is_in(twice.implode())
    shared = shared if plain else shared.fill_null(False)
    if not owned:
        return shared
    rows = (
        key.lazy()
        .with_columns(shared=shared)
        .join(_taken(key, owned), on=key.columns, how="left", maintain_order="left")
    )
    rows = rows.select(pl.col("shared") | pl.col("taken").fill_null(False))
    return rows.collect(engine="in-memory").to_series()


def _members(group: Groups, positions: pl.Series) -> Iterable[tuple[Values | None, Values | None]]:
    keys = (None if None in row else row for row in group.key[positions].iter_rows())
    entities = repeat(None, len(positions)) if group.entity is None else group.entity[positions].iter_rows()
    return zip(keys, entities, strict=True)
