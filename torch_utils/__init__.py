"""Whatever changes or runs a network; nothing here knows a model's name."""
