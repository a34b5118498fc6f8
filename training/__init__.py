"""2:4 masks, quantizer insertion, distillation, the loop, demo models and data. Importing it imports no torch."""
