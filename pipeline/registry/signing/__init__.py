"""Signatures of registered versions: made at registration, checked before a version is served."""
