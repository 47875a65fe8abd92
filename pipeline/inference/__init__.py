"""What a served model version needs, and nothing more."""
