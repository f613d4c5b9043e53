"""How good pseudo labels are: matching against hidden labels, figures, report."""
