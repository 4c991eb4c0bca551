"""Image files: reading, EXIF, likeness, and decoded images kept for later epochs."""
