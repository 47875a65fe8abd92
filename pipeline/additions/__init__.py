"""Further corpora and languages, added by commands that write configuration and no code."""
