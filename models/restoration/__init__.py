"""Networks that make sharp frames of blurred ones."""
