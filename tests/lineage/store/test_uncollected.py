"""The collector of cycles rests during the work, and is afterwards as it was before."""

import gc

import pytest

from assay.errors import AssayError
from assay.lineage.store.lineage_store import LineageStore
from assay.lineage.store.uncollected import uncollected


def test_it_rests_and_goes_on() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()  # the outer work is not over
    assert gc.isenabled()


def test_who_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_goes_on_after_an_event_that_is_refused(store: LineageStore) -> None:
    with pytest.raises(AssayError):
        store.put_all([b"no JSON"])
    assert gc.isenabled()
