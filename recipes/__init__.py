"""Ready recipes, as package data."""
