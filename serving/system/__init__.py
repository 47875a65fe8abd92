"""The system as a whole: ``ner run``, ``up``, ``down``, ``status``, ``deploy``."""
