"""What every room shares: errors, console, whole files, the bundle. Imports neither torch nor an engine."""
