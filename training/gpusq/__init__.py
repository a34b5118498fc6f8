"""GPUSQ-ViT: pruning to 2:4, then QAT, both with a teacher's answers and late features. Imports no torch."""
