"""What is taken from CUDA is given back once, whatever happens in between."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from .api import CudaError

R = TypeVar("R", bound="Resource")


class Resource:
    """Something of CUDA's that has to be given back: a context manager, and `close` may be called again.

    Args:
        held: CUDA's handle or address; None if there is nothing to give back.
    """

    def __init__(self, held: Any) -> None:
        self._held = held

    def _release(self, held: Any) -> None:
        """Give it back to CUDA."""
        raise NotImplementedError

    @property
    def _open(self) -> Any:
        if self._held is None:
            raise ValueError(f"This {type(self).__name__} is closed.")
        return self._held

    def close(self) -> None:
        """Give it back; a second time does nothing.

        Raises:
            CudaError: CUDA refuses, as it does for everything after a kernel crashed; but not while another error is
                on its way, which is the one to tell.
        """
        held, self._held = self._held, None
        if held is None:
            return
        failing = sys.exc_info()[0] is not None
        try:
            self._release(held)
        except CudaError:
            if not failing:
                raise

    def __enter__(self: R) -> R:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.close()


__all__ = ["Resource"]
