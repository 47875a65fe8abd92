"""Canaries: a new champion gets a share of the calls for a while before it gets all of them."""
