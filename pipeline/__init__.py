"""Retraining pipeline for multilingual named entity recognition: the stages and what they share."""

__version__ = "0.1.0"
