"""The Dagster code location: everything the domains declare."""

import dagster as dg

from assay.assets.build import build_asset
from assay.assets.discover import pipeline
from assay.assets.sensors import arrivals


@dg.definitions
def defs() -> dg.Definitions:
    steps = pipeline()
    known = frozenset(table for step in steps for table in step.outputs)
    assets = [build_asset(step, known) for step in steps]
    return dg.Definitions(assets=assets, sensors=[arrivals(steps)], executor=dg.in_process_executor)
