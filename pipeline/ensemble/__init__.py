"""The ensemble: base models combined by features of their spans, a meta-classifier and exact decoding."""
