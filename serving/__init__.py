"""Serving named entity recognition: the model MLflow serves, the gateway in front of it, and its command group."""
