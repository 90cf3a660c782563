"""Frozen networks: what exists, how it is built, its weights, where its blocks end."""
