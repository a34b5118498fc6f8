"""Group knowledge: a residual network learns with its own subnets, each group of them taught by the next larger."""
