"""In which order test files are run, and which of them keep a worker waiting."""

SHARED_RUN = "tests/end_to_end/full_run"
# What mostly waits: for servers, sensors, killed processes, pages. Where there are three workers, one of them has all of it, so
# that the other two always compute.
WAITING = (
    "tests/end_to_end/unattended",
    "tests/end_to_end/test_your_own_project.py",
    "tests/end_to_end/test_dagster_ui.py",
    "tests/assay/cli/test_up.py",
    "tests/end_to_end/test_kill.py",
    "tests/end_to_end/killed_upstreams",
    "tests/assay/test_receiver.py",
    "tests/assets/databases/replication",
    "tests/lineage/delivery",
)
# What takes longest comes first, so that nobody waits for one of these at the end (`--no-loadscope-reorder` keeps this order).
# With two workers, what waits alternates with what computes: at each moment there is work for every core.
LONGEST = (
    SHARED_RUN,
    "tests/end_to_end/unattended",
    "tests/assay/cli/test_up.py",
    "tests/end_to_end/test_your_own_project.py",
    "tests/assets/steps/test_compared_rows.py",
    "tests/end_to_end/test_dagster_ui.py",
    "tests/end_to_end/rhythms",
    "tests/end_to_end/test_kill.py",
    "tests/docs/test_upstreams.py",
    "tests/assets/steps/test_duplicate_keys.py",
    "tests/assay/test_receiver.py",
    "tests/docs/test_readme.py",
    "tests/features/tables/test_crash.py",
    "tests/assets/planning/test_plan_memory.py",
    "tests/end_to_end",
    "tests/assets/databases/replication",
    "tests/features/embeddings",
    "tests/docs",
    "tests/assay",
    "tests/assets/steps",
    "tests/assets/dagster",
    "tests/lineage/delivery",
    "tests/lineage/api",
    "tests/lineage/mutations",
    "tests/features/tables",
    "tests/assets",
    "tests/checks",
    "tests/test_house.py",
)


def place_of(nodeid: str) -> int:
    """The place of a test in the order; those after it that nobody knows keep theirs."""
    return next((number for number, start in enumerate(LONGEST) if nodeid.startswith(start)), len(LONGEST))


def waits(nodeid: str) -> bool:
    """Whether a test or its file mostly waits."""
    return nodeid.startswith(WAITING)
