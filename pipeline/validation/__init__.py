"""Validation: Great Expectations suites over the raw corpora, the gate before training, and its Data Docs."""
