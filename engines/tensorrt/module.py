"""The installed `tensorrt` module, or one paragraph about what is missing and the line that brings it."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from ...common.errors import MissingError

MINIMUM = (10, 12)
"""The oldest release that builds strongly typed networks in full, with Q/DQ."""

_INSTALL = "Install it with: pip install 'twofour[tensorrt]'"
_JETPACK = (
    "On a Jetson, TensorRT comes with JetPack: sudo apt-get install python3-libnvinfer, and use the system's Python, "
    "or a virtual environment of it that was made with --system-site-packages"
)
_TEGRA = Path("/etc/nv_tegra_release")
_LIBRARY = re.compile(r"lib(?:nv|cu)\w*\.so(?:\.\d+)*")
_NEEDED = ("Builder", "BuilderFlag", "OnnxParser", "Runtime", "ICudaEngine")


def tensorrt() -> ModuleType:
    """Import the package `tensorrt`, checked.

    Raises:
        MissingError: it is not installed; its native libraries are missing (they are named); it is only the shell of a
            package; it is older than 10.12.
    """
    try:
        module = import_module("tensorrt")
    except ModuleNotFoundError as error:
        raise _absent(error) from error
    except (ImportError, OSError) as error:
        raise _broken(error) from error
    except Exception as error:  # a native build made for another machine can raise anything at import
        raise _shell(f"can't be imported ({type(error).__name__}: {_flat(error)})") from error
    _check(module)
    return module


@lru_cache(maxsize=8)
def _check(module: ModuleType) -> None:
    lacking = [name for name in (*_NEEDED, "__version__") if not hasattr(module, name)]
    if lacking:
        raise _shell(f"is only a shell: it has no {', '.join(lacking)}")
    if numbers(module)[:2] < MINIMUM:
        raise _old(str(module.__version__))


def numbers(module: ModuleType) -> tuple[int, ...]:
    """The module's version as numbers, such as `(11, 4, 0, 106)`; at least two.

    Raises:
        MissingError: it says none that can be read.
    """
    found = tuple(int(number) for number in re.findall(r"\d+", str(module.__version__)))
    if len(found) < 2:
        raise _shell(f"says no version that can be read ({module.__version__!r})")
    return found


def _absent(error: ModuleNotFoundError) -> MissingError:
    if error.name == "tensorrt":
        return MissingError("TensorRT is not installed: there is no Python package 'tensorrt'.", fix=_install())
    if (error.name or "").startswith("tensorrt"):
        return _shell(f"has no module {error.name!r} for Python {platform.python_version()}")
    return _shell(f"can't be imported ({_flat(error)})")


def _broken(error: ImportError | OSError) -> MissingError:
    """The package is there, a shared library that it needs is not."""
    named = _LIBRARY.search(str(error))
    if named is None:
        return _shell(f"can't be imported ({_flat(error)})")
    return MissingError(
        f"The Python package 'tensorrt' is installed, but its native library {named[0]} can't be loaded "
        f"({_flat(error)}).",
        fix=_libraries(named[0]),
    )


def _flat(error: Exception) -> str:
    """An error's text as part of one paragraph."""
    return " ".join(str(error).split())


def _libraries(library: str) -> str:
    path = f"If TensorRT is installed elsewhere, put the folder of {library} on LD_LIBRARY_PATH"
    if _on_jetson():
        return f"{_JETPACK}. {path}."
    if library.startswith("libcu"):
        return f"Install the CUDA libraries that TensorRT needs, with NVIDIA's driver. {path}."
    return f"Install the libraries with: pip install {_libraries_package(library)}. {path}."


def _libraries_package(library: str) -> str:
    """The pip package that brings the libraries, of the bindings' own version where pip installed those."""
    cuda = cuda_of_package()
    if cuda is not None:
        return f"tensorrt-cu{cuda}-libs=={version(f'tensorrt-cu{cuda}-bindings')}"
    return "tensorrt-cu12-libs" if library.endswith(".10") else "tensorrt-cu13-libs"


def cuda_of_package() -> int | None:
    """The major CUDA release that pip's TensorRT is made for; None where TensorRT came otherwise."""
    for cuda in (13, 12, 11):
        with suppress(PackageNotFoundError):
            version(f"tensorrt-cu{cuda}-bindings")
            return cuda
    return None


def _shell(state: str) -> MissingError:
    again = "Install it again with: pip install --force-reinstall 'twofour[tensorrt]'"
    return MissingError(f"The Python package 'tensorrt' is installed, but {state}.", fix=_install(again))


def _old(installed: str) -> MissingError:
    wanted = ".".join(map(str, MINIMUM))
    again = f"Upgrade it with: pip install --upgrade 'tensorrt>={wanted}'"
    fix = f"Upgrade JetPack to a release with TensorRT {wanted} or newer." if _on_jetson() else f"{again}."
    return MissingError(f"TensorRT {installed} is too old: twofour needs {wanted} or newer.", fix=fix)


def _install(line: str = _INSTALL) -> str:
    return f"{_JETPACK}." if _on_jetson() else f"{line}. {_JETPACK}." if _on_arm() else f"{line}."


def _on_arm() -> bool:
    return platform.machine().lower() in ("aarch64", "arm64")


def _on_jetson() -> bool:
    return _on_arm() and (_TEGRA.exists() or "tegra" in platform.release())


__all__ = ["MINIMUM", "cuda_of_package", "numbers", "tensorrt"]
