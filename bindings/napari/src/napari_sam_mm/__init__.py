"""Segment Anything in napari: clicks and boxes in, labels out."""

from ._widget import SegmentWidget

__version__ = "0.1.0"

__all__ = ["SegmentWidget"]
