"""twofour: from a PyTorch model to a 2:4-sparse INT8 engine whose accuracy and speed are proven."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("twofour")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
