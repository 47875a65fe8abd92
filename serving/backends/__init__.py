"""Backends: what answers for one model version."""
