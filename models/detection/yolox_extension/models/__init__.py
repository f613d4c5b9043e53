"""Feature pyramid over backbone stages and the whole detector."""
