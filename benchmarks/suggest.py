"""How many wrong cells are found without rules, and how many right ones are doubted. Prints a Markdown table.

    python -m benchmarks.suggest FOLDER

FOLDER holds a folder for each data set with `dirty.csv` and `clean.csv`, such as those of https://github.com/BigDaMa/raha.
A cell is wrong if its text differs between the two; a cell without text equals an empty one.
"""

import argparse
import time
from pathlib import Path

import polars as pl

from assay.checks import suggest

SETS = ("hospital", "flights", "beers", "rayyan")


def read(file: Path) -> pl.DataFrame:
    return pl.read_csv(file, infer_schema=False)


def doubted(frame: pl.DataFrame) -> tuple[set[tuple[int, int]], float]:
    """The doubted cells (row from 1, position of the column), and CPU seconds."""
    start = time.process_time()
    cells = suggest(frame).cells
    took = time.process_time() - start
    return {(cell.row, frame.columns.index(cell.column)) for cell in cells}, took


def wrong(dirty: pl.DataFrame, clean: pl.DataFrame) -> set[tuple[int, int]]:
    if dirty.shape != clean.shape:
        raise SystemExit(f"clean and dirty differ in their shape: {clean.shape}, {dirty.shape}")
    return {
        (row, column)
        for column, (before, after) in enumerate(zip(clean.iter_columns(), dirty.iter_columns(), strict=True))
        for row, (right, value) in enumerate(zip(before.fill_null(""), after.fill_null(""), strict=True), 1)
        if right != value
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="*", default=SETS)
    arguments = parser.parse_args()
    suggest(pl.DataFrame({"warm": ["up"] * 100}))
    print("| set | rows × columns | wrong cells | precision | recall | F1 | CPU s | doubted in the clean file |")
    print("|---|---|---|---|---|---|---|---|")
    scores = []
    for name in arguments.sets:
        dirty, clean = (read(arguments.folder / name / f"{kind}.csv") for kind in ("dirty", "clean"))
        errors = wrong(dirty, clean)
        cells, seconds = doubted(dirty)
        hits = len(cells & errors)
        precision, recall = hits / max(1, len(cells)), hits / max(1, len(errors))
        score = 2 * hits / max(1, len(cells) + len(errors))
        scores.append(score)
        false = len(doubted(clean)[0]) / (clean.height * clean.width)
        print(
            f"| {name} | {dirty.height:,} × {dirty.width} | {len(errors):,} | {precision:.2f} | {recall:.2f} "
            f"| {score:.2f} | {seconds:.2f} | {false:.2%} |"
        )
    print(f"\nMean F1: {sum(scores) / len(scores):.2f}")


if __name__ == "__main__":
    main()
