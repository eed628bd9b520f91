"""What a request waits for at most while planning looks."""

import pytest

pytest.importorskip("dlt")

from assay.assets.extracted.one_try import _short


@pytest.mark.parametrize(
    ("timeout", "short"),
    [(None, (5, 10)), (60, (5, 10)), (0.5, (0.5, 0.5)), ((3, 7), (3, 7)), ((30, None), (5, 10)), (object(), (5, 10))],
)
def test_a_look_has_short_timeouts_and_keeps_shorter_ones(timeout: object, short: tuple[float, float]) -> None:
    assert _short(timeout) == short
