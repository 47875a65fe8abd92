"""Scores, significance, error report and plots of the base models and the ensemble."""
