"""Steps to Dagster. The only folder that imports dagster."""

from assay.optional import require

require("dagster", "Running the pipeline")
