"""The Dagster code location: everything the domains declare."""

import dagster as dg

from assay.assets.dagster.jobs import definitions_of, jobs_of
from assay.assets.dagster.sensors import arrivals
from assay.assets.project import pipeline


@dg.definitions
def defs() -> dg.Definitions:
    steps = pipeline()
    jobs = jobs_of(steps)
    return definitions_of(steps, jobs, [arrivals(steps, jobs)])
