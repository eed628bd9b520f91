"""The Dagster code location: everything the domains declare."""

import dagster as dg

from assay.assets.discover import pipeline
from assay.assets.jobs import definitions_of, jobs_of
from assay.assets.sensors import arrivals


@dg.definitions
def defs() -> dg.Definitions:
    steps = pipeline()
    jobs = jobs_of(steps)
    return definitions_of(steps, jobs, [arrivals(steps, jobs)])
