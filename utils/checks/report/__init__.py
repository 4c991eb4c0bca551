"""Reports of a check: lines for the terminal, JSON, and one HTML page."""
