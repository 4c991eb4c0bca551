"""Command lines of the scripts: their flags, and how every script starts and ends."""
