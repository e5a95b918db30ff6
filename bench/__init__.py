"""Measures how a JAX training step scales over modes and devices, and whether it became slower."""
