"""HTTP without endpoints: limits, problems, requests read and answers written, metrics, the server."""
