"""The upstream of `assay demo`: thirty days of a support desk's deliveries, with known defects."""

from assay.assets.support.upstream.replay import Summary, replay

__all__ = ["Summary", "replay"]
