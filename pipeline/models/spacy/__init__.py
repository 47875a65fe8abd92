"""The spaCy base model: training a CNN pipeline on static vectors, and inference."""
