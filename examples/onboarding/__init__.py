"""Eleven states, systems of others, deadlines, and data that stays on the server."""
