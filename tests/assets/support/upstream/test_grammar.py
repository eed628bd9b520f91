import re
from collections import Counter

import pytest

from assay.assets.support.upstream.grammar import INTENTS, SLOTS, tickets


def test_texts_are_distinct_balanced_and_the_same_every_time() -> None:
    pairs = list(tickets(6_000, "a"))
    assert pairs == list(tickets(6_000, "a"))
    assert len({text for text, _ in pairs}) == 6_000
    per_intent = Counter(intent for _, intent in pairs)
    assert len(per_intent) == len(INTENTS) >= 30
    assert max(per_intent.values()) - min(per_intent.values()) <= 1
    assert pairs != list(tickets(6_000, "b"))


def test_texts_are_sentences_without_leftovers_or_personal_data() -> None:
    for text, _ in tickets(3_000, "a"):
        assert text[0].isupper()
        assert text[-1] in ".?!"
        assert not re.search(r"[{}@\n]|  |\d{5}", text)


@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_is_said_in_several_ways_with_known_slots(intent: str) -> None:
    assert len(set(INTENTS[intent])) >= 4
    assert {slot for template in INTENTS[intent] for slot in re.findall(r"{(\w+)}", template)} <= set(SLOTS)
    assert len({text for text, said in tickets(34 * 20, "a") if said == intent}) == 20


def test_every_slot_is_used() -> None:
    used = {slot for templates in INTENTS.values() for text in templates for slot in re.findall(r"{(\w+)}", text)}
    assert used == set(SLOTS)
