"""The kinds of tables: a table's folder says what it is.

Everything that asks "is this a table of features?" or orders and colours tables by kind asks here.
"""

from enum import Enum


class Kind(Enum):
    """In the order in which data flows. `folder` is the first part of a table's name, `singular` what one of its tables
    (or one thing in it) is called in traces and in the console."""

    PROFILES = ("profiles", "profiles")
    RELEASES = ("releases", "releases")
    RAW = ("raw", "raw")
    QUARANTINE = ("quarantine", "quarantine")
    CLEAN = ("clean", "clean")
    SEARCH = ("search", "search")
    EMBEDDINGS = ("embeddings", "embeddings")
    PARTIALS = ("partials", "partials")
    FEATURES = ("features", "features")
    LABELS = ("labels", "labels")
    TRAINING = ("training", "training")
    MODELS = ("models", "model")
    PREDICTIONS = ("predictions", "prediction")

    folder: str
    singular: str
    order: int

    def __init__(self, folder: str, singular: str) -> None:
        self.folder = folder
        self.singular = singular
        self.order = len(type(self).__members__)

    def table(self, name: str) -> str:
        """The name of a table of this kind: `features/` and the name of its view, for example."""
        return f"{self.folder}/{name}"

    def holds(self, table: str) -> bool:
        """Whether a table is of this kind."""
        return table.startswith(f"{self.folder}/")


def kind_of(table: str) -> Kind | None:
    """The kind of a table by its name; None for a folder that Assay gives no meaning."""
    folder, slash, _ = table.partition("/")
    return _BY_FOLDER.get(folder) if slash else None


def is_sealed(table: str) -> bool:
    """Whether a table proves something by itself, so that its commits are sealed (see `assay.features.storage.seals`)."""
    return kind_of(table) in (Kind.PREDICTIONS, Kind.MODELS, Kind.TRAINING)


def has_definitions(table: str) -> bool:
    """Whether its rows are computed by the definition of a view, which may change: then no reader gets rows of two."""
    return kind_of(table) in (Kind.FEATURES, Kind.LABELS)


def label_of(table: str) -> str:
    """What a table is called: the singular of its kind, or else its folder."""
    kind = kind_of(table)
    return kind.singular if kind else table.partition("/")[0]


def order_of(label: str) -> int:
    """The place of a kind's singular in the flow of data; −1 for anything else."""
    return _ORDER.get(label, -1)


def own_name(table: str) -> str:
    """A table's name without its folder: `tickets` for `clean/tickets`."""
    return table.partition("/")[2]


_BY_FOLDER = {kind.folder: kind for kind in Kind}
_ORDER = {kind.singular: kind.order for kind in Kind}
