"""Channel permutations: the order of a layer's input channels that 2:4 pruning harms least."""
