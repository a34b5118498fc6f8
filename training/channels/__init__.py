"""Which channels of a network can change places without changing its function, and where each of them stands."""
