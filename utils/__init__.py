"""Leaves that know none of the other rooms: boxes, errors, atomic files, evaluation, progress."""
