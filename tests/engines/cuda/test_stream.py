from __future__ import annotations

import pytest

from twofour.engines.cuda.api import CudaError
from twofour.engines.cuda.stream import Event, Stream


def test_times_between_events_are_the_devices(cuda):
    cuda.call_ns = 0
    with Stream() as stream, Event() as start, Event() as end:
        start.record(stream)
        cuda.launch(stream, milliseconds=1.25)
        end.record(stream)
        with pytest.raises(CudaError, match="cudaErrorNotReady"):
            end.elapsed_ms(start)
        end.synchronize()
        assert end.elapsed_ms(start) == 1.25


def test_how_the_host_waits_and_whether_times_are_kept(cuda):
    blocking, no_times = cuda.cudaEventBlockingSync, cuda.cudaEventDisableTiming
    for arguments, flags in (({}, 0), ({"blocking": True}, blocking), ({"timing": False}, no_times)):
        with Event(**arguments) as event:
            assert cuda._events[event.handle].flags == flags


def test_a_stream_waits_for_another(cuda):
    cuda.lazy, seen = True, []
    with Stream() as first, Stream() as second, Event() as event:
        cuda.launch(first, lambda: seen.append("first"), 2.0)
        event.record(first)
        second.wait(event)
        cuda.launch(second, lambda: seen.append("second"), 1.0)
        second.synchronize()
        assert seen == ["first", "second"]
        assert cuda.clock >= 3_000_000


def test_a_stream_waits_for_all_of_another_without_an_event_of_the_callers(cuda):
    cuda.lazy, seen = True, []
    with Stream() as first, Stream() as second:
        cuda.launch(first, lambda: seen.append("first"))
        second.wait_for(first)
        first.wait_for(first)
        cuda.launch(second, lambda: seen.append("second"))
        second.synchronize()
    assert seen == ["first", "second"]
    assert cuda.counts["cudaEventRecord"] == 1


def test_a_borrowed_stream_stays_open(cuda):
    with Stream() as mine:
        with Stream.borrowed(mine.handle) as borrowed:
            borrowed.synchronize()
        borrowed.synchronize()
        assert borrowed.handle == mine.handle
    Stream.borrowed(0).synchronize()


def test_streams_do_not_wait_for_the_default_stream(cuda, monkeypatch):
    seen, real = [], cuda.cudaStreamCreateWithFlags

    def spy(flags):
        seen.append(flags)
        return real(flags)

    monkeypatch.setattr(cuda, "cudaStreamCreateWithFlags", spy, raising=False)
    Stream().close()
    assert seen == [cuda.cudaStreamNonBlocking]
