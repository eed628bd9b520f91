"""Steps to Dagster. The only folder that imports dagster."""
