"""torchvision's Faster R-CNN, part by part, without making the host wait for the device."""
