"""Reattach the head, prove the hand-off, unfreeze, train end to end, and use what came of it."""
