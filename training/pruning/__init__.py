"""Which weights are pruned and when: patterns, scores, sensitivity, and the maskers that hold them in training."""
