"""Validation of the raw corpora before training, by suites of Great Expectations, with its Data Docs."""
