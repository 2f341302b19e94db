"""One module for each command; `app` puts them together."""
