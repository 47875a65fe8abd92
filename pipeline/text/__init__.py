"""From plain text to sentences and tokens, and which language it is in."""
