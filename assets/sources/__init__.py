"""How deliveries become frames: bytes in, every record out, either as a row or as a named defect. Pure Polars."""

from assay.assets.sources.deliveries import Delivery, DeliveryError
from assay.assets.sources.dispatch import read_delivery

__all__ = ["Delivery", "DeliveryError", "read_delivery"]
