"""The operator's desk: authorization, orders, and their outcomes."""
