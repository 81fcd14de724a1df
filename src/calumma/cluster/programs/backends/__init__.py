"""Triton backends of our own, one folder each, and :mod:`batching`, which they share."""
