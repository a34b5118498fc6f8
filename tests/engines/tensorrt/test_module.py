"""A TensorRT that is missing, broken, too old or only a shell ends in one paragraph with the line that fixes it."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from twofour.common.errors import MissingError
from twofour.engines.tensorrt import module
from twofour.engines.tensorrt.capabilities import capabilities

WHOLE = "class Builder: ...\nBuilderFlag = OnnxParser = Runtime = ICudaEngine = Builder\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package `tensorrt` with this source; gives the error that using it raises."""

    def install(source: str | None) -> MissingError:
        for name in [name for name in sys.modules if name.split(".")[0] in ("tensorrt", "tensorrt_bindings")]:
            monkeypatch.delitem(sys.modules, name)
        folder = tmp_path / "site" / "tensorrt"
        folder.mkdir(parents=True)
        if source is not None:
            (folder / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder.parent))
        with pytest.raises(MissingError) as raised:
            capabilities()
        sys.modules.pop("tensorrt", None)
        assert "\n" not in str(raised.value)
        assert raised.value.exit_code == 4
        return raised.value

    return install


@pytest.fixture
def jetson(tmp_path, monkeypatch):
    (tmp_path / "nv_tegra_release").write_text("# R36")
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(module, "_TEGRA", tmp_path / "nv_tegra_release")


@pytest.fixture
def bindings(monkeypatch):
    """The versions that pip would say of the bindings."""

    def say(**versions: str) -> None:
        def version(name: str) -> str:
            if name.replace("-", "_") not in versions:
                raise PackageNotFoundError(name)
            return versions[name.replace("-", "_")]

        monkeypatch.setattr(module, "version", version)

    return say


def test_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingError, match=r"not installed.*pip install 'twofour\[tensorrt\]'"):
        capabilities()


def test_missing_on_a_jetson_names_jetpack(monkeypatch, jetson):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingError, match="JetPack: sudo apt-get install python3-libnvinfer") as raised:
        capabilities()
    assert "pip install" not in str(raised.value)


def test_missing_on_another_arm_machine_names_both(monkeypatch):
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(module, "_on_jetson", lambda: False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingError, match=r"pip install 'twofour.*JetPack"):
        capabilities()


@pytest.mark.parametrize(("installed", "line"), [
    ({"tensorrt_cu13_bindings": "11.4.0.106"}, "pip install tensorrt-cu13-libs==11.4.0.106"),
    ({"tensorrt_cu12_bindings": "10.13.3.9"}, "pip install tensorrt-cu12-libs==10.13.3.9"),
    ({}, "pip install tensorrt-cu12-libs."),
])
def test_native_libraries_missing(package, bindings, installed, line):
    bindings(**installed)
    text = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
    error = str(package(f"raise ImportError({text!r})"))
    assert "its native library libnvinfer.so.10" in error
    assert line in error


def test_native_libraries_missing_on_a_jetson(package, jetson):
    error = str(package("raise ImportError('libnvinfer.so.10: cannot open shared object file')"))
    assert "JetPack" in error
    assert "pip" not in error


def test_cuda_library_missing_is_not_blamed_on_tensorrt(package):
    error = str(package("raise OSError('libcudart.so.13: cannot open shared object file')"))
    assert "libcudart.so.13" in error
    assert "tensorrt-cu13-libs" not in error
    assert "CUDA" in error


@pytest.mark.parametrize("source", [None, "", "__version__ = '11.4.0'", "class Builder: ..."])
def test_shell(package, source):
    assert "only a shell" in str(package(source))


def test_front_without_bindings(package):
    assert "has no module 'tensorrt_bindings'" in str(package("from tensorrt_bindings import *"))


def test_extension_of_another_python(package):
    assert "has no module 'tensorrt.tensorrt' for Python 3." in str(package("from .tensorrt import *"))


def test_broken_build_of_any_kind(package):
    assert "RuntimeError: two lines" in str(package("raise RuntimeError('two\\nlines')"))


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "10.11.0.33"])
def test_too_old(package, version):
    error = str(package(f"{WHOLE}__version__ = {version!r}"))
    assert f"TensorRT {version} is too old: twofour needs 10.12 or newer" in error
    assert "pip install --upgrade 'tensorrt>=10.12'" in error


def test_too_old_on_a_jetson(package, jetson):
    assert "Upgrade JetPack" in str(package(f"{WHOLE}__version__ = '10.3.0'"))


def test_version_that_says_nothing(package):
    assert "says no version" in str(package(f"{WHOLE}__version__ = 'unknown'"))


def test_real_bindings_without_their_libraries(release):
    code = "from twofour.common.errors import MissingError\nfrom twofour.engines.tensorrt import capabilities\n" \
           "try: capabilities.capabilities()\nexcept MissingError as error: print(error.exit_code, error)"
    environment = release.environment(libraries=False)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    cuda = "cu12" if "cu12" in str(release.site) else "cu13"
    assert done.stdout.startswith("4 The Python package 'tensorrt' is installed, but its native library libnv")
    assert f".so.{release.name.split('.')[0]} can't be loaded" in done.stdout
    assert f"pip install tensorrt-{cuda}-libs=={release.version}" in done.stdout
