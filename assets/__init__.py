"""What runs: declarations become Dagster assets, checks, jobs and sensors. The only folder that imports dagster."""
