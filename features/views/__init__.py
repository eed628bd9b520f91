"""Feature views and the engines that compute them."""

from assay.lazy import moved

# Before this was a package it was the module that README and docs import from.
_NAMES = ("Entity", "Feature", "FeatureView", "Serving", "Windowed", "windows")
__getattr__ = moved(__name__, {name: f"assay.features:{name}" for name in _NAMES})
