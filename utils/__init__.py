"""Everything that means something without torch; the whole package imports with torch absent."""
