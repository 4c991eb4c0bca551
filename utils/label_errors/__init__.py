"""Labels that are probably wrong, found where confident detections of a model contradict them."""
