"""The ablation of label efficiency: arms, steps, report."""
