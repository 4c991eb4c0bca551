"""Which annotation file belongs to which image, in folders as people keep them."""
