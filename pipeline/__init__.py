"""Retraining pipeline for multilingual named entity recognition: the stages and what they share."""
