"""One folder per backend; shared: profile, validate, evidence. Imports no torch."""
