"""Values that hardly occur in their column and often in another one: they may have slipped there."""

from collections.abc import Sequence

from assay.checks.suggesting.finding import Finding, Findings
from assay.checks.suggesting.text_column import TextColumn

#: At home a value has so many rows, and so many times as many as here.
OFTEN, TIMES = 10, 10
#: Here it stands in at most so many rows, or such a share of them.
SLIPS, SLIP_SHARE = 3, 0.002
#: Columns that share more of their values are two of one kind, such as two places of one journey.
SHARED = 0.05


def misplaced_values(columns: Sequence[TextColumn]) -> Findings:
    words = [c for c in columns if c.number_share < 0.5 and c.present]
    counts = [dict(zip(column.texts, column.counts.tolist(), strict=True)) for column in words]
    for here, ours in zip(words, counts, strict=True):
        for home, theirs in zip(words, counts, strict=True):
            if here is home or here.counts[0] < OFTEN:
                continue
            common = ours.keys() & theirs.keys()
            few = max(SLIPS, SLIP_SHARE * here.present)
            rare = [v for v in common if ours[v] <= few and theirs[v] >= max(OFTEN, TIMES * ours[v])]
            if not rare or sum(ours[v] for v in common) > SHARED * here.present:
                continue
            index = {text: number for number, text in enumerate(here.texts)}
            for text in rare:
                if not here.is_missing[index[text]]:
                    reason = f"{theirs[text]:,} rows have this value in another column ({home.name}), {ours[text]:,} in this one."
                    yield Finding(here.name, here.rows_of(index[text]), 0.7, reason)
