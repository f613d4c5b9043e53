"""DSEC's folders as downloaded, with the boxes of DSEC-Detection.

Boxes are fields by name (h stands before w in the file), their times and those of the events with ``t_offset`` are of
one clock, and their pixels are those of the left event camera, not rectified.
"""

from __future__ import annotations

from data.preprocessing.layouts.base import SequenceFolders

LAYOUT = SequenceFolders("events/left/events.h5", ["object_detections/left/tracks.npy"])
