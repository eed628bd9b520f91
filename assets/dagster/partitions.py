"""Our partitionings as Dagster's, and the one key that the two write differently."""

import functools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from assay.features.tables.partitioning import Partitioning

_HOURS = "%Y-%m-%d-%H"


@functools.cache
def definition_of(partitioning: Partitioning) -> dg.PartitionsDefinition | None:
    """The partitions as Dagster lists them, the current one included; None for a table without."""
    if not partitioning.is_partitioned:
        return None
    if partitioning.kind == "static":
        return dg.StaticPartitionsDefinition(list(partitioning.keys))
    zone = ZoneInfo(partitioning.time_zone)
    start = partitioning.bounds(partitioning.start)[0].astimezone(zone)
    end = partitioning.end_of(partitioning.end).astimezone(zone) if partitioning.end else None
    formats = {"hourly": _HOURS, "daily": "%Y-%m-%d", "weekly": "%Y-%m-%d", "monthly": "%Y-%m"}
    classes = {
        "hourly": dg.HourlyPartitionsDefinition,
        "daily": dg.DailyPartitionsDefinition,
        "weekly": functools.partial(dg.WeeklyPartitionsDefinition, day_offset=1),
        "monthly": dg.MonthlyPartitionsDefinition,
    }
    return classes[partitioning.kind](
        start_date=start.replace(tzinfo=None),
        end_date=end.replace(tzinfo=None) if end else None,
        timezone=partitioning.time_zone,
        fmt=formats[partitioning.kind],
        end_offset=1,
    )


def dagster_key(partitioning: Partitioning, key: str) -> str:
    """The key that Dagster has for a partition: the second of a repeated hour ends in its offset from UTC."""
    if partitioning.kind != "hourly" or not key.endswith("b"):
        return key
    local = partitioning.bounds(key)[0].astimezone(ZoneInfo(partitioning.time_zone))
    return f"{local:{_HOURS}%z}"


def our_key(partitioning: Partitioning, key: str) -> str:
    """Back from `dagster_key`."""
    if partitioning.kind != "hourly" or partitioning.is_key(key):
        return key
    instant = datetime.strptime(key, f"{_HOURS}%z").astimezone(UTC)
    return partitioning.current(instant) or key
