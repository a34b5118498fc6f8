"""Ranges for the quantizers, by ModelOpt's calibrators. Importing it imports no torch."""
