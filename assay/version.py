"""The installed release."""

from importlib.metadata import version

__version__ = version("assay")
