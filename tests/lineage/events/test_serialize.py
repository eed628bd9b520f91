"""Our serializer against the client's, which is the oracle."""

import enum
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import RunFacet, nominal_time_run, tags_run
from openlineage.client.serde import Serde

from assay.lineage.events.redaction import redact
from assay.lineage.events.serialize import to_bytes


class Colour(enum.Enum):
    RED = "red"


texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["x://u:p4ss@h/p", "a=1;password=p4ss", "Bearer p4ssw0rd", "AKIA" + "A" * 16, "sk-" + "a" * 16]),
    st.text(min_size=250, max_size=260),
)
keys = st.one_of(st.text(max_size=4), st.sampled_from(["password", "db_token", "keys", "authorization"]))
objects = st.builds(
    tags_run.TagsRunFacetFields, key=texts, value=st.one_of(texts, st.none()), source=st.one_of(st.none(), texts)
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.just(Colour.RED))
values = st.recursive(
    st.one_of(leaves, objects),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=12,
)


@given(values, st.lists(objects, max_size=3), st.dictionaries(keys, values, max_size=3))
def test_it_is_what_the_client_makes_without_secrets(value: Any, tags: list[Any], named: dict[str, Any]) -> None:
    facets: dict[str, RunFacet] = {
        "tags": tags_run.TagsRunFacet(tags),
        "nominalTime": nominal_time_run.NominalTimeRunFacet("2026-09-01T00:00:00Z", None),
        "odd": RunFacet().with_additional_properties(value=value),
    }
    inputs, outputs = InputDataset("n", "a", named, facets=named), OutputDataset("n", "b", None, facets={})
    event = RunEvent(
        eventType=RunState.COMPLETE,
        eventTime="2026-09-01T00:00:00Z",
        run=Run("0b8ffc1e-3a5c-4b0f-9c93-4f7c2a1d5e60", facets),
        job=Job("n", "j", named),
        inputs=[inputs],
        outputs=[outputs],
        producer="urn:x",
    )
    assert to_bytes(event) == json.dumps(redact(Serde.to_dict(event)), sort_keys=True).encode()
