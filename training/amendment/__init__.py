"""AdvAmd-style (reconstructed) training: adversarial samples that raise the accuracy on benign ones."""
