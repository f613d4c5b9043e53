"""Every reader of files, with a small sound file of its kind: what ``fuzz_readers.py`` works on.

A new reader is one more entry in ``READERS`` of one of the files here: its name, how its file is written, how it is
read to its end.
"""

from __future__ import annotations

from scripts.soak.readers import boxes, events, labels, records, weights

READERS = (*boxes.READERS, *events.READERS, *labels.READERS, *records.READERS, *weights.READERS)
"""All of them."""
