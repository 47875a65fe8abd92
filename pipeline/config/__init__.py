"""Parameters: what params.yaml may hold, the profiles over it, and the paths of a workspace."""
