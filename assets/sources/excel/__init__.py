"""Excel workbooks: what a sheet holds, cell by cell, with the type that each cell has."""
