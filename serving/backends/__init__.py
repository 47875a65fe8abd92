"""Backends: what answers for one model version, in a process of ours or at an endpoint elsewhere."""
