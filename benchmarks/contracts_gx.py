"""The rules of `benchmarks.contracts` in Great Expectations, run by the interpreter of its own environment.

    gx/bin/python benchmarks/contracts_gx.py FOLDER_OR_FILE

Prints one line of JSON like the other engines: CPU s, seconds, peak MB and the number of rows that some expectation names.
"""

import json
import resource
import sys
import time

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

CHANNELS = ["web", "shop", "phone", "partner"]
STATES = ["open", "paid", "sent", "closed"]
REQUIRED = ["order_id", "customer", "ordered_at", "channel", "state"]
EXPECTATIONS = [
    *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in REQUIRED),
    gxe.ExpectColumnValuesToBeUnique(column="order_id"),
    gxe.ExpectColumnValuesToMatchRegex(column="order_id", regex=r"^O[0-9]{9}$"),
    gxe.ExpectColumnValuesToBeBetween(column="customer", min_value=1),
    gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="shipped_at", column_B="ordered_at", or_equal=True, ignore_row_if="either_value_is_missing"
    ),
    gxe.ExpectColumnValuesToBeInSet(column="channel", value_set=CHANNELS),
    gxe.ExpectColumnValuesToBeInSet(column="state", value_set=STATES),
    gxe.ExpectColumnValueLengthsToEqual(column="country", value=2),
    gxe.ExpectColumnValuesToMatchRegex(column="email", regex=r"^[^@ ]+@[^@ ]+\.[a-z]+$"),
    gxe.ExpectColumnValuesToBeBetween(column="quantity", min_value=1, max_value=99),
    gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, strict_min=True, max_value=10_000),
    gxe.ExpectColumnValuesToBeBetween(column="discount", max_value=0.9),
]


def main(path: str) -> None:
    frame = pd.read_parquet(path)
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("orders")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="orders", expectations=EXPECTATIONS)
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    found = {row for each in result.results for row in each.result.get("unexpected_index_list") or ()}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu": cpu, "s": seconds, "mb": after.ru_maxrss / 1024, "rows": len(found)}))


if __name__ == "__main__":
    main(sys.argv[1])
