"""Triton backends of our own, one folder each, as Triton finds them in a backend directory."""
