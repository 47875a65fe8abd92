"""Serving named entity recognition: backends, routing, the gateway with its page and client, and the system."""
