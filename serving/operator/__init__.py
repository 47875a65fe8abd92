"""The operator's desk: who may give orders, what was ordered, and what became of it."""
