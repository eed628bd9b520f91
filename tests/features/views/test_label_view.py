"""Label views: what they must say, and that nothing reads them as features."""

from typing import Any

import polars as pl
import pytest

from assay.errors import AssayError
from assay.features.serving.feature_set import FeatureSet
from assay.features.serving.on_demand.view import OnDemandView
from assay.features.serving.references import Role
from assay.features.tables.serving import Serving
from assay.features.views.entity import Entity
from assay.features.views.feature_view import FeatureView
from assay.features.views.label_view import LabelView
from assay.features.views.row_wise import Feature
from assay.features.views.sql import Sql
from assay.features.views.windowed import windows

TICKET = Entity("ticket", ["ticket_id"])
INTENT = Feature("intent", pl.col("intent"), "As an agent filed it.")


def filed(**given: Any) -> LabelView:
    of: dict[str, Any] = {"known_time": "filed_at"}
    return LabelView("filed", TICKET, "created_at", [INTENT], "clean/tickets", **(of | given))


def test_a_label_view_is_computed_like_any_other_and_kept_apart() -> None:
    made = filed(horizon="7d")
    assert (made.table, made.labels, made.sources()) == ("labels/filed", ("filed:intent",), ("clean/tickets",))
    assert Serving.from_dict(made.serving()) == Serving(
        "ticket", ("ticket_id",), "created_at", "filed_at", kind="label", horizon_us=7 * 86_400_000_000
    )
    assert filed(horizon="7d").digest() != filed(horizon="8d").digest() != filed().digest()
    counted = windows(["7d"], source="clean/tickets", time="created_at", written=pl.len())
    assert LabelView("writes", TICKET, "at", counted, horizon="7d").feature_names == ("written_7d",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"known_time": None}, "say when a label becomes known"),
        ({"max_age": "1d"}, "has no max_age"),
        ({"horizon": "soon"}, "horizon"),
        ({"horizon": "0d"}, "horizon"),
    ],
)
def test_it_says_when_a_label_becomes_known(given: dict[str, Any], said: str) -> None:
    with pytest.raises(AssayError, match=said):
        filed(**given)


@pytest.mark.parametrize(
    "read",
    [
        lambda: FeatureView("v", TICKET, "at", [INTENT], "labels/filed"),
        lambda: FeatureView("v", TICKET, "at", windows(["1d"], source="labels/filed", time="at", n=pl.len())),
        lambda: FeatureView("v", TICKET, "at", computed_by=Sql("select l.ticket_id, l.at, l.x from labels.filed l")),
        lambda: FeatureSet("router", [filed()]),
        lambda: Role(filed()),
        lambda: OnDemandView("v", [Feature("x", pl.col("intent").str.len_chars())], uses=[filed()]),
        lambda: LabelView("again", TICKET, "at", [INTENT], "labels/filed", horizon="1d"),
    ],
)
def test_labels_are_never_features(read: Any) -> None:
    with pytest.raises(AssayError, match="became known after the moments that they are about"):
        read()
