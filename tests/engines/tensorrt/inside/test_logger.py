"""The logger and the progress monitor that TensorRT calls."""

from __future__ import annotations

import threading

import pytest

from twofour.engines.tensorrt import progress
from twofour.engines.tensorrt.logger import Log, LogLine, logger
from twofour.engines.tensorrt.progress import Phases, monitor


def test_every_line_is_kept_with_its_severity(trt, tmp_path):
    log = Log()
    speaker = logger(log)
    for name in ("VERBOSE", "INFO", "WARNING", "ERROR", "INTERNAL_ERROR"):
        speaker.log(getattr(trt.ILogger.Severity, name), f"a {name}")
    assert [line.severity for line in log.lines] == ["VERBOSE", "INFO", "WARNING", "ERROR", "INTERNAL_ERROR"]
    assert log.errors() == ["a ERROR", "a INTERNAL_ERROR"]
    log.write(tmp_path / "build.log")
    assert (tmp_path / "build.log").read_text().splitlines()[:2] == ["[VERBOSE] a VERBOSE", "[INFO] a INFO"]


def test_a_warning_is_shown_once(trt, capsys):
    speaker = logger(Log())
    for _ in range(3):
        speaker.log(trt.ILogger.Severity.WARNING, "careful")
    speaker.log(trt.ILogger.Severity.INFO, "nothing")
    assert capsys.readouterr().err == "warning: TensorRT: careful\n"


def test_lines_of_several_threads(trt):
    log = Log()
    speaker = logger(log)
    threads = [threading.Thread(target=lambda: [speaker.log(trt.ILogger.Severity.INFO, "x") for _ in range(200)])
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.lines == [LogLine("INFO", "x")] * 800


def test_an_interrupt_while_a_line_is_taken_is_not_lost(trt, monkeypatch):
    log = Log()
    monkeypatch.setattr(log, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    logger(log).log(trt.ILogger.Severity.INFO, "x")
    assert log.interrupted


@pytest.mark.parametrize("method", ["start", "step", "finish"])
def test_an_interrupt_in_the_monitor_cancels(trt, monkeypatch, method):
    phases = Phases()
    watch = monitor(phases)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(phases, method, interrupt)
    calls = {"start": ("phase_start", "a", None, 3), "step": ("step_complete", "a", 0), "finish": ("phase_finish", "a")}
    name, *arguments = calls[method]
    assert getattr(watch, name)(*arguments) in (None, False)
    assert phases.canceled
    monkeypatch.undo()
    assert watch.step_complete("a", 1) is False


def test_the_monitor_answers_in_the_type_that_the_bindings_take(trt):
    assert monitor(Phases()).step_complete("a", 0) is True
    assert issubclass(type(monitor(Phases())), progress.tensorrt().IProgressMonitor)


def test_the_log_of_an_engine_that_serves_for_long_does_not_grow(trt):
    log = Log(most=3)
    speaker = logger(log)
    for number in range(5):
        speaker.log(trt.ILogger.Severity.WARNING, f"default stream {number}")
    assert log.texts() == ["default stream 2", "default stream 3", "default stream 4"]


@pytest.mark.one_release
def test_errors_since_a_moment_also_when_older_lines_have_gone(trt):
    log = Log(most=2)
    log.add("ERROR", "a")
    since = log.taken
    assert log.errors(since) == []
    log.add("ERROR", "b")
    assert (log.errors(), log.errors(since)) == (["a", "b"], ["b"])
    log.add("ERROR", "c")
    log.add("ERROR", "d")
    assert log.errors(since) == ["c", "d"]
