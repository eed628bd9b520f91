"""The front door: one object that knows where the tables are and has the public API as its methods."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from assay.errors import AssayError, known_names, nearest
from assay.features.tables.guard import ALLOW_ALL, Guard
from assay.settings import Settings
from assay.store_methods.batches import BatchMethods
from assay.store_methods.features import FeatureMethods
from assay.store_methods.lineage import LineageMethods
from assay.store_methods.listings import ListingMethods
from assay.store_methods.models import ModelMethods
from assay.store_methods.tables import TableMethods


class Store(TableMethods, ListingMethods, BatchMethods, FeatureMethods, ModelMethods, LineageMethods):
    """Tables, features and lineage of one lake. Made by `assay.open()`."""


def open_store(
    lake: str | Path | None = None, *, home: str | Path | None = None, guard: Guard = ALLOW_ALL, **settings: Any
) -> Store:
    """A store from `ASSAY_*` settings; arguments win over the environment. `guard` is asked at every read and write."""
    names = [*Settings.model_fields, "guard"]
    for name in settings:
        if name not in names:
            raise AssayError(f"There is no setting {name!r}.{nearest(name, names) or known_names(names)}")
    given: dict[str, Any] = {
        key: value for key, value in {"lake": lake and str(lake), "home": home, **settings}.items() if value
    }
    try:
        return Store(Settings(**given), guard)
    except SettingsError as problem:  # without its cause, which holds the text
        raise AssayError(f"Settings cannot be read: {str(problem).partition(' from source')[0]}; is it JSON?") from None
    except ValidationError as problem:
        # Without the value: it may be a password.
        (first, *_) = problem.errors(include_input=False, include_url=False)
        raise AssayError(f"Setting {'.'.join(map(str, first['loc']))!r} cannot be used: {first['msg']}.") from None
