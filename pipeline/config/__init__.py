"""Parameters: the schema of params.yaml, the profiles that override it, the corpora, and the paths of a workspace."""
