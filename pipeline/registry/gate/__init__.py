"""The gate between a challenger and the alias ``champion``."""
