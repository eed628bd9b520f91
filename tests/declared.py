"""Declarations as the text of a file, as a person writes them."""

IMPORTS = "from assay import Contract, Field, Files, Partitioning, Source, Timestamp\n"


def daily_source(name: str, *fields: str, start: str, event_time: str = "") -> str:
    """A source of CSV files by day, with its contract.

    Args:
        name: Of the source, and with a capital letter of its contract.
        fields: The lines of the contract; the first column is the key.
        start: The first day.
        event_time: The column of times, if there is one.
    """
    key = fields[0].partition(":")[0]
    lines = "\n    ".join(fields)
    return f'''

class {name.capitalize()}(Contract):
    {lines}


{name} = Source(
    name="{name}",
    reader=Files("{name}/{{day}}/*", (".csv",)),
    partitioning=Partitioning.daily("{start}"),
    contract={name.capitalize()},
    key=("{key}",),
    event_time="{event_time}",
)
'''
