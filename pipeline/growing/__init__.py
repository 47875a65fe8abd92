"""Growing corpora: read new texts from their sources, check them, and take them in as batches that DVC versions."""
