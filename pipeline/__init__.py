"""The recipe, the stages in order, the run folder, resume and the report."""
