"""Scores, significance, error report and plots of the legs and the ensemble."""
