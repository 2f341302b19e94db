"""One module for each back-end."""
