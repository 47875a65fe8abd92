"""The gateway: one address for the API and the page."""
