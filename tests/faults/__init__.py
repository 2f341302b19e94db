"""Faults of every kind while many callers execute commands on PostgreSQL, and a count of what became of these."""
