"""What every room shares: errors, console, whole files, the bundle and its schema. Imports neither torch nor an engine."""
