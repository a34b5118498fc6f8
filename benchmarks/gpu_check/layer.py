"""The CUDA layer on a real GPU, driven with PyTorch's kernels: does it do what its tests on a simulated one say?"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from twofour.engines.cuda.api import OutOfMemoryError
from twofour.engines.cuda.graph import CaptureError, Graph
from twofour.engines.cuda.memory import DeviceBuffer, PinnedBuffer, download, upload
from twofour.engines.cuda.stopwatch import Work, interleaved
from twofour.engines.cuda.stream import Event, Stream
from twofour.engines.cuda.view import view_of
from twofour.engines.intervals import interval, verdict

Check = Callable[[], str]


def check_all() -> list[dict[str, Any]]:
    """Each check's name, whether it passed, and a line of detail."""
    return [_run(check) for check in CHECKS]


def _run(check: Check) -> dict[str, Any]:
    name = str(check.__doc__).rstrip(".")
    try:
        return {"name": name, "passed": True, "detail": check()}
    except Exception as error:  # a check that fails must not hide the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        return {"name": name, "passed": False, "detail": detail}


def _copies() -> str:
    """Copies to the device and back are exact."""
    values = np.random.default_rng(24).standard_normal(1 << 20).astype(np.float32)
    with Stream() as stream, DeviceBuffer(values.nbytes) as device, PinnedBuffer(values.nbytes) as host:
        upload(device.address, values, stream)
        answer = host.array(values.dtype, values.shape)
        download(answer, device.address, stream)
        stream.synchronize()
        assert np.array_equal(answer, values)
    return f"{values.nbytes} bytes"


def _times() -> str:
    """Our events and PyTorch's measure the same time."""
    left = torch.randn(4096, 4096, device="cuda")
    with Stream() as stream, Event() as start, Event() as stop:
        outer = torch.cuda.ExternalStream(stream.handle)
        theirs = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        with torch.cuda.stream(outer):
            for _ in range(3):
                left @ left
            start.record(stream)
            theirs[0].record(outer)
            for _ in range(20):
                left @ left
            theirs[1].record(outer)
            stop.record(stream)
        stream.synchronize()
        ours, other = stop.elapsed_ms(start), theirs[0].elapsed_time(theirs[1])
    assert abs(ours - other) < 0.02 * other + 0.05, (ours, other)
    return f"ours {ours:.3f} ms, PyTorch's {other:.3f} ms"


def _graph() -> str:
    """A captured graph answers as the calls that it was captured from."""
    left = torch.randn(512, 512, device="cuda")
    out = torch.empty_like(left)
    with Stream() as stream:
        def work(on: Stream) -> None:
            with torch.cuda.stream(torch.cuda.ExternalStream(on.handle)):
                torch.mm(left, left, out=out)

        work(stream)
        stream.synchronize()
        expected = out.clone()
        with Graph.capture(work, stream) as graph:
            for factor in (1.0, 2.0):
                left.mul_(factor)
                torch.cuda.synchronize()
                graph.launch(stream)
                stream.synchronize()
                assert torch.allclose(out, expected * factor**2, rtol=1e-5)
    return "two launches, with new input in the same place"


def _refused() -> str:
    """Work that waits can't be captured; the stream is usable afterwards."""
    with Stream() as stream:
        try:
            Graph.capture(lambda on: on.synchronize(), stream).close()
        except CaptureError as error:
            reason = error.reason
        else:
            raise AssertionError("it was captured")
        values = torch.zeros(8, device="cuda")
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
            values += 1
        stream.synchronize()
        assert values.sum().item() == 8
    return reason


def _views() -> str:
    """A tensor of PyTorch's is taken without a copy."""
    tensor = torch.arange(24, dtype=torch.float32, device="cuda").reshape(4, 6)
    view = view_of(tensor)
    assert view is not None
    assert (view.address, view.shape, view.dtype) == (tensor.data_ptr(), (4, 6), np.dtype(np.float32))
    return f"stream {view.stream}"


def _memory() -> str:
    """Memory that isn't there is refused with its size, and nothing is lost."""
    before = torch.cuda.mem_get_info()[0]
    try:
        DeviceBuffer(1 << 45)
    except OutOfMemoryError as error:
        said = str(error)
    else:
        raise AssertionError("32 TiB were given")
    for _ in range(50):
        DeviceBuffer(1 << 26).close()
    assert torch.cuda.mem_get_info()[0] >= before - (1 << 26)
    return said


def _same_arms() -> str:
    """Two arms that are the same show no difference; one with twice the work shows about half the speed."""
    left = torch.randn(2048, 2048, device="cuda", dtype=torch.float16)

    def times(count: int) -> Work:
        def enqueue(stream: Stream) -> None:
            with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
                for _ in range(count):
                    left @ left

        return Work(enqueue=enqueue)

    works = {"one": times(2), "same": times(2), "twice": times(4)}
    timed = interleaved(works, seconds=0.5, runs=100, warmup=0.1, graph=True, spin=True, streams=1,
                        on_progress=lambda _share: None)
    found = {}
    for arm in ("same", "twice"):
        rounds = zip(timed[arm].compute, timed["one"].compute, strict=True)
        low, high = interval(np.array([np.median(a) / np.median(b) for a, b in rounds]))
        found[arm] = (low, high, verdict(low / 1.02, high * 1.02))
    assert found["same"][2] == "no difference", found
    assert 1.8 < found["twice"][0] <= found["twice"][1] < 2.2, found
    return f"{found}; graph: {timed['one'].graph}"


def _triton() -> str:
    """A kernel of Triton's runs on our stream."""
    import kernel

    values = torch.arange(1024, device="cuda", dtype=torch.float32)
    with Stream() as stream, torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
        doubled = kernel.double(values)
        stream.synchronize()
    assert torch.equal(doubled, values * 2)
    return f"Triton {kernel.VERSION}"


CHECKS: tuple[Check, ...] = (_copies, _times, _graph, _refused, _views, _memory, _same_arms, _triton)

__all__ = ["check_all"]
