"""The client of the gateway, blocking and asynchronous, and its results."""
