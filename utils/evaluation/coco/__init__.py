"""COCO's numbers, to the last bit: their engine, and files of COCO's format scored."""
