"""The training loop: steps, gradients, optimizer and short trials."""
