"""Everything that works without torch."""
