"""Reports of an evaluation: one HTML page to work with, and a model card, both from the same plain dict."""
