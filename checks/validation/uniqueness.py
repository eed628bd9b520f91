"""Rules about several rows at once: unique keys and canonical names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import repeat
from operator import or_
from typing import Any, Protocol

import polars as pl

from assay.checks.contract.rules import Column, SetRule
from assay.checks.validation import duplicates
from assay.checks.validation.parse import typed
from assay.errors import AssayError
from assay.own_columns import is_link

Values = tuple[Any, ...]
_FEW = 200  # rows, which are looked at one by one in less time than a query takes
#: Key -> the entities that have it (None stands for rows that have no entity), and in which partition.
Owners = dict[Values | None, dict[Values | None, str | None]]


@dataclass(frozen=True, slots=True)
class Groups:
    """One rule's groups in a batch: key columns and entity columns per row. A row with a null key is in no group."""

    rule: SetRule
    key: pl.DataFrame
    entity: pl.DataFrame | None


class PublishedRows(Protocol):
    """Rows of other batches, where nobody wants to read all of them."""

    def having(self, rule: SetRule, prints: pl.Series) -> pl.LazyFrame:
        """The rows whose key has one of these fingerprints (see `fingerprint`), and any others.

        With the columns `duplicates.RANK` and `duplicates.OUT` they say how they take part: then rows that are out are among
        them, and what must be judged again includes keys that the batch does not have.
        """
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which rows break rules about several rows.

    broken: for each rule the positions of the rows that break it, and the partition of the row that each lost to (None: of
    its own batch, or nobody says). alone: for each rule the positions of the rows that would break it if there were no other
    batch. moved: partitions of other batches of which a row must stay that is out, or the other way round.
    """

    broken: list[dict[int, str | None]]
    alone: list[list[int]]
    moved: frozenset[str]


def broken_rows(
    groups: Sequence[Groups],
    clean: pl.Series,
    places: Callable[[bool], pl.DataFrame],
    published: PublishedRows | None,
    columns: Mapping[str, Column],
    event_time: str | None,
) -> Verdict:
    """For each rule the rows that break it.

    A row breaks the rule when its key belongs to a row that goes before it (see `duplicates`) and stays: one that breaks neither
    another removing rule (`clean`) nor a removing rule of these. A row whose entity has the key already does not break it.
    Where a rule keeps the latest row, or none, other rules of these do not count.

    Args:
        groups: The rules, with the keys of the batch's rows.
        clean: Which rows break no other removing rule.
        places: By what the batch's rows are put in order, and (if asked) what each says.
        published: Rows of other batches.
        columns: Of the contract.
        event_time: The column that puts rows in order, if there is one.

    Raises:
        AssayError: The published rows lack a column.
    """
    others = [_others(group, published, columns, event_time) for group in groups]
    found = _judged(groups, clean, places, others, event_time)
    none = [rows.clear() for rows in others]
    same = all(rows.is_empty() for rows in others)
    alone = found.broken if same else _judged(groups, clean, places, none, event_time).broken
    return replace(found, alone=[list(positions) for positions in alone])


def _judged(
    groups: Sequence[Groups],
    clean: pl.Series,
    places: Callable[[bool], pl.DataFrame],
    others: Sequence[pl.DataFrame],
    event_time: str | None,
) -> Verdict:
    # Only rows that share a key with another row can break or decide anything; usually these are few.
    shared = [_shared(group.key, rows) for group, rows in zip(groups, others, strict=True)]
    broken: list[dict[int, str | None]] = [{} for _ in groups]
    moved: set[str] = set()
    concerned = [index for index, rows in enumerate(shared) if rows.any() or not others[index].is_empty()]
    chained: list[int] = []
    for index in concerned:
        if groups[index].rule.duplicates == "first":
            chained.append(index)
            continue
        broken[index], left = _alone(groups[index], shared[index].arg_true(), clean, places, others[index])
        moved |= left
    for index in concerned:
        if broken[index] and groups[index].rule.severity.removes_row:
            clean = clean.scatter(pl.Series(list(broken[index]), dtype=pl.UInt32), False)
    if not chained:
        return Verdict(broken, [], frozenset(moved))
    if len(chained) == 1 and groups[chained[0]].entity is None:
        index = chained[0]
        suspects = shared[index].arg_true()
        if len(suspects) + others[index].height > _FEW:
            broken[index], left = _alone(groups[index], suspects, clean, places, others[index])
            return Verdict(broken, [], frozenset(moved | left))
    suspects = reduce(or_, (shared[index] for index in chained)).arg_true()
    found, left = _chained(
        [groups[index] for index in chained], suspects, clean, places, [others[index] for index in chained], event_time
    )
    for index, positions in zip(chained, found, strict=True):
        broken[index] = positions
    return Verdict(broken, [], frozenset(moved | left))


def _alone(
    group: Groups,
    suspects: pl.Series,
    clean: pl.Series,
    places: Callable[[bool], pl.DataFrame],
    others: pl.DataFrame,
) -> tuple[dict[int, str | None], set[str]]:
    """The rows that break a rule about a key, where what other rules say is settled."""
    own = duplicates.eligible_rows(group.key, places(group.rule.duplicates == "none"), suspects, clean)
    judged = duplicates.resolved(group.rule, own, others, group.key.columns)
    mine = judged.filter(pl.col("position").is_not_null() & pl.col("broken")).select("position", "partition", "to")
    broken = {position: to if to != partition else None for position, partition, to in mine.iter_rows()}
    theirs = judged.filter(pl.col("position").is_null() & (pl.col("broken") != pl.col(duplicates.OUT)))
    return broken, _partitions(group.rule, theirs)


def _partitions(rule: SetRule, rows: pl.DataFrame) -> set[str]:
    """Those whose rows must be judged again. Nobody can judge those again that go before all."""
    rows = rows.filter(pl.col(duplicates.RANK) != duplicates.BEFORE)
    return set(rows["partition"].drop_nulls()) if rule.severity.removes_row else set()


def _chained(
    groups: Sequence[Groups],
    suspects: pl.Series,
    clean: pl.Series,
    places: Callable[[bool], pl.DataFrame],
    others: Sequence[pl.DataFrame],
    event_time: str | None,
) -> tuple[list[dict[int, str | None]], set[str]]:
    """The rows that break rules of which the first row stays: one that breaks another of these rules frees its key."""
    owners: list[Owners] = [{} for _ in groups]
    members = [
        list(_members(group.key[suspects], None if group.entity is None else group.entity[suspects]))
        for group in groups
    ]
    rivals = [
        list(
            _members(
                rows.select(group.key.columns), None if group.entity is None else rows.select(_entities(group.rule))
            )
        )
        for group, rows in zip(groups, others, strict=True)
    ]
    marks = [rows.select(duplicates.RANK, duplicates.OUT, duplicates.ELIGIBLE).rows() for rows in others]
    stays = dict(zip(suspects, clean.gather(suspects), strict=True))
    row_of = {position: row for row, position in enumerate(suspects)}
    broken: list[dict[int, str | None]] = [{} for _ in groups]
    moved: set[str] = set()
    for entry in _ordered(suspects, places, others, event_time):
        if entry.position is None:
            key, entity = rivals[entry.rule][entry.row]
            rank, out, eligible = marks[entry.rule][entry.row]
            beaten = _taken(owners[entry.rule], key, entity) is not None
            judged_otherwise = beaten != out and groups[entry.rule].rule.severity.removes_row
            if judged_otherwise and rank != duplicates.BEFORE and entry.partition is not None:
                moved.add(entry.partition)
            if key is not None and eligible and (not beaten or rank == duplicates.BEFORE):
                owners[entry.rule].setdefault(key, {}).setdefault(entity, entry.partition)
            continue
        mine = [rows[row_of[entry.position]] for rows in members]
        stay = stays[entry.position]
        for index, (key, entity) in enumerate(mine):
            taken = _taken(owners[index], key, entity)
            if taken is not None:
                broken[index][entry.position] = taken[0] if taken[0] != entry.partition else None
                stay = stay and not groups[index].rule.severity.removes_row
        if stay:
            for owned, (key, entity) in zip(owners, mine, strict=True):
                if key is not None:
                    owned.setdefault(key, {}).setdefault(entity, entry.partition)
    return broken, moved


def _ordered(
    suspects: pl.Series, places: Callable[[bool], pl.DataFrame], others: Sequence[pl.DataFrame], event_time: str | None
) -> Iterable[duplicates.Entry]:
    if event_time is None and all(rows.is_empty() for rows in others):  # they are in order, and sorting takes longer
        return (duplicates.Entry(position, -1, -1, None) for position in suspects)
    return duplicates.entries(places(False), suspects, others)


def _taken(owned: Owners, key: Values | None, entity: Values | None) -> tuple[str | None] | None:
    """In which partition the row is that has the key, where it is of another entity."""
    taken = owned.get(key)
    if not taken or (entity is not None and entity in taken):
        return None
    return (next(iter(taken.values())),)


def published_inputs(
    rule: SetRule,
    published: pl.LazyFrame,
    columns: Mapping[str, Column],
    also: Iterable[str] = (),
    event_time: str | None = None,
) -> pl.LazyFrame:
    """What the rule reads of the published rows (and `also` these columns), in the contract's types, and the columns that are no
    data. Raises AssayError when they lack a column."""
    present = published.collect_schema()
    times = [event_time] if event_time is not None else []
    needed: dict[str, None] = dict.fromkeys([*rule.inputs, *also, *times])
    for name in needed:
        if name not in present:
            raise AssayError(
                f"{rule.name}: the published rows have no column {name!r}; pass the table the contract is for"
            )
    marks = (duplicates.RANK, duplicates.OUT, duplicates.ELIGIBLE)
    links = (name for name in present if is_link(name) or name in marks)
    return published.select(*(typed(pl.col(name), present[name], columns[name]).alias(name) for name in needed), *links)


def published_prints(rule: SetRule, published: pl.LazyFrame, columns: Mapping[str, Column]) -> pl.LazyFrame:
    """The fingerprints (column `key`) of the rule's keys in published rows: null where a row has none."""
    return published_inputs(rule, published, columns).select(key=fingerprint(rule.key))


def _others(
    group: Groups, published: PublishedRows | None, columns: Mapping[str, Column], event_time: str | None
) -> pl.DataFrame:
    """The rows of other batches that have a key of this one, or another that matters, and their places."""
    rule = group.rule
    if published is None:
        return duplicates.no_others(group.key, _entities(rule))
    prints = group.key.select(fingerprint(map(pl.col, group.key.columns))).to_series()
    rows = published.having(rule, prints.drop_nulls())
    present = rows.collect_schema()
    given = columns if rule.duplicates == "none" else None
    inputs = published_inputs(rule, rows, columns, also=() if given is None else given, event_time=event_time)
    entity = [pl.col(name).alias(alias) for name, alias in zip(rule.entity or (), _entities(rule), strict=True)]
    lines = [name for name in ("_source_file", "_row_number") if name in present]
    inputs = inputs.sort(lines, maintain_order=True) if lines else inputs
    places = duplicates.other_places(inputs.collect_schema(), event_time, given)
    found = inputs.select(*key_expressions(rule), *entity, *places).filter(
        pl.all_horizontal(pl.col(name).is_not_null() for name in group.key.columns)
    )
    if duplicates.OUT not in present:  # nobody else is looked at
        found = found.join(
            group.key.lazy().drop_nulls().unique(), on=group.key.columns, how="semi", maintain_order="left"
        )
    return found.collect(engine="streaming")


def _entities(rule: SetRule) -> list[str]:
    return [f"entity{index}" for index in range(len(rule.entity or ()))]


def repeated(prints: pl.Series) -> pl.Series:
    """The fingerprints that occur more than once, some of them several times. Numbers are sorted faster than texts are
    compared."""
    ordered = (prints.drop_nulls() if prints.null_count() else prints).sort()
    return ordered[1:].filter(ordered[1:] == ordered[:-1])


def _shared(key: pl.DataFrame, others: pl.DataFrame) -> pl.Series:
    """Which rows have a key that another row of the batch or of another batch has too."""
    # What two different keys share by chance decides nothing.
    plain = key.width == 1 and not key.to_series().null_count()
    prints = key.to_series().hash() if plain else key.select(fingerprint(map(pl.col, key.columns))).to_series()
    twice = repeated(prints)
    if twice.is_empty() and others.is_empty():
        return constant(False, key.height)
    shared = prints.is_in(twice.implode())
    shared = shared if plain else shared.fill_null(False)
    if others.is_empty():
        return shared
    taken = others.lazy().select(key.columns).unique().with_columns(taken=pl.lit(True))
    rows = key.lazy().with_columns(shared=shared).join(taken, on=key.columns, how="left", maintain_order="left")
    rows = rows.select(pl.col("shared") | pl.col("taken").fill_null(False))
    return rows.collect(engine="in-memory").to_series()


def _members(key: pl.DataFrame, entity: pl.DataFrame | None) -> Iterable[tuple[Values | None, Values | None]]:
    keys = (None if None in row else row for row in key.iter_rows())
    entities = repeat(None, key.height) if entity is None else entity.iter_rows()
    return zip(keys, entities, strict=True)
