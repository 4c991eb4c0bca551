"""Experiment trackers that `--log` names: TensorBoard, Weights & Biases, MLflow, one module for each."""
