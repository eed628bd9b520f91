"""The last state of each key, in memory and on disk: the same as in a dict."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.assets.databases.replication.last_states import LastStates, State
from assay.assets.databases.replication.pgoutput import UNCHANGED, Values

KEYS = st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from(["", "Ä\n\"'"]))
VALUES = st.none() | st.tuples(st.sampled_from(["x", "", None, UNCHANGED, "ÿ\U0001f600"]), st.text(max_size=3))
OPERATIONS = st.lists(st.tuples(KEYS, VALUES, st.none() | KEYS) | st.none(), max_size=30)


@pytest.mark.parametrize("in_memory", [0, 200, 1 << 20])
def test_the_last_state_of_each_key_is_kept_in_order(in_memory: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    @given(OPERATIONS)
    def check(
        operations: list[tuple[tuple[str | None, ...], Values | None, tuple[str | None, ...] | None] | None],
    ) -> None:
        folder: Path = tmp_path_factory.mktemp("states")
        model: dict[tuple[str | None, ...], State] = {}
        with LastStates(folder, in_memory) as states:
            for operation in operations:
                if operation is None:
                    states.truncate()
                    model.clear()
                    continue
                state = State(*operation)
                states.put(state)
                model.pop(state.key, None)
                model[state.key] = state
                assert states.get(state.key) == state
            assert list(states) == list(states) == list(model.values())
            assert states.truncated == (None in operations)
            assert states.get(("not", "there")) is None
            states.remember(b"\x00k", {"v": "Ä", "n": None})
            assert states.recall(b"\x00k") == {"v": "Ä", "n": None}

    check()
