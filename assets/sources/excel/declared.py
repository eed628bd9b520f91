"""`Excel`: where in a source's workbooks its rows stand."""

from dataclasses import dataclass

from assay.errors import AssayError


@dataclass(frozen=True, slots=True)
class Excel:
    """Where the rows stand in the Excel workbooks of a source, e.g. `Excel(sheet="Orders", header_row=3)`.

    Attributes:
        sheet: the name of the sheet. None: the only one that is not empty.
        header_row: the row with the names of the columns, as Excel counts rows. What is above it is not read.
    """

    sheet: str | None = None
    header_row: int = 1

    def __post_init__(self) -> None:
        if self.header_row < 1:
            raise AssayError(f"Excel(header_row={self.header_row}): rows are counted from 1.")


USUAL_EXCEL = Excel()
