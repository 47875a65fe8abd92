"""Domain adaptation: continue a registered model on a user's own annotated sentences, without forgetting."""
