"""What is wrong with a data set, and how its objects lie beside what a detector can find; before any training."""
