"""The trainer and what decides how a run goes: batch size, stopping, averaging."""
