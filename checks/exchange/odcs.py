"""Contracts as Open Data Contract Standard (ODCS) 3.1 YAML: https://bitol-io.github.io/open-data-contract-standard/."""

from assay.checks.exchange.odcs_read import from_odcs
from assay.checks.exchange.odcs_write import document, to_odcs

__all__ = ["document", "from_odcs", "to_odcs"]
