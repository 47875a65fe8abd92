"""Hyperparameter search: Optuna tries values of the transformer's parameters in ranges that params.yaml gives.

A trial trains on the train parts and is judged by F1 on the tune halves of the development parts, epoch by epoch; the
gate halves and the test parts are never read. Several ``ner search`` processes, on one machine or several, share a
study by its database. Each trial is an MLflow run, a child of the study's run.
"""
