"""Loading a model version and predicting with it, in serving and in the gate; imports no training."""
