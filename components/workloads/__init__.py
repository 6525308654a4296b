"""What the product can train: one folder a workload, with the rooms data, model, loss and metrics."""
