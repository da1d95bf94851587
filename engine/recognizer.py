"""Sources, pipeline and clock put together: what programs and the command line use."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from ..models.cast import Cast, load_cast
from .capture import FileSource, Source, open_source
from .config import Settings, load_settings
from .pipeline import Pipeline
from .result import Counters, Result

QUEUE_RESULTS = 64
READ_TIMEOUT_S = 0.05
# A live source that delivers nothing for this long is read as silence: a loopback that falls
# silent delivers nothing on some systems, and no name may be left on the screen.
QUIET_S = 0.25
LONGEST_FILL_S = 1.0


class Recognizer:
    """Names, live, who is speaking: a context manager, and an iterator of results.

    Parameters
    ----------
    cast : str, path-like or Cast, optional
        ``starter``, the path of a cast file, or a cast in memory. By default as in the settings.
    source : str, path-like or Source, optional
        As `kikiwake.engine.capture.open_source` takes it: ``loopback``, ``default``, a device, a
        file. By default as in the settings.
    settings : Settings, optional
        By default the user's config file.

    Raises
    ------
    KikiwakeError
        From the constructor or on entering: no such cast, source or device, bad settings. What
        goes wrong later is raised by the iterator.

    Notes
    -----
    A worker thread reads the source and runs the pipeline. A live source is never held up: when
    the reader of the iterator is slow, the oldest results are dropped and counted in
    `Counters.missed_results`. From a file or a pipe nothing is dropped; the worker waits.

    Examples
    --------
    >>> from kikiwake.models.starter import DEMO
    >>> with Recognizer(cast="starter", source=DEMO) as recognizer:
    ...     names = {result.character for result in recognizer}
    >>> len(names - {None}) >= 4
    True
    """

    def __init__(
        self,
        cast: str | os.PathLike[str] | Cast | None = None,
        source: str | os.PathLike[str] | Source | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        cast = self.settings.cast if cast is None else cast
        self.cast = cast if isinstance(cast, Cast) else load_cast(cast)
        source = self.settings.input if source is None else source
        if isinstance(source, (str, os.PathLike)):
            source = open_source(os.fspath(source))
        self.source = source
        self._results: queue.Queue[Result] = queue.Queue(QUEUE_RESULTS)
        self._missed = 0
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._worker: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._worker is not None:
            raise RuntimeError("a Recognizer is entered once; make another")
        self.source.__enter__()
        try:
            self._pipeline = Pipeline(
                self.cast,
                self.settings,
                sample_rate=self.source.sample_rate,
                channels=self.source.channels,
            )
            self._worker = threading.Thread(target=self._work, name="kikiwake", daemon=True)
            self._worker.start()
        except BaseException:
            self.source.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        try:
            if self._worker is not None:
                # Every source of ours returns from a read in time; a foreign one may not, and is
                # not waited for for ever: the worker is a daemon thread.
                self._worker.join(timeout=5.0)
        finally:
            self.source.__exit__(exc_type, exc, traceback)

    def __iter__(self) -> Iterator[Result]:
        if self._worker is None:
            raise RuntimeError("enter the Recognizer first: with Recognizer(...) as recognizer")
        while True:
            alive = self._worker.is_alive()
            try:
                # Without a timeout Ctrl-C would not get through on Windows.
                result = self._results.get(timeout=READ_TIMEOUT_S)
            except queue.Empty:
                if alive:
                    continue
                break
            yield result
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            self._listen()
        except BaseException as error:  # raised by the iterator, where somebody can handle it
            self._error = error

    def _listen(self) -> None:
        source, pipeline = self.source, self._pipeline
        filled_s = 0.0
        # None before the first sound: some devices take a second or two to begin.
        heard_at: float | None = None
        while not self._stop.is_set():
            block = source.read(READ_TIMEOUT_S)
            if block is None:
                self._publish(pipeline.finish(), filled_s)
                return
            now = time.monotonic()
            if len(block):
                heard_at = now
            elif source.live and heard_at is not None and now - heard_at >= QUIET_S:
                gap_s = now - heard_at
                # After a computer's sleep the gap may be hours; a second of silence ends it all.
                n = round(min(gap_s, LONGEST_FILL_S) * source.sample_rate)
                block = np.zeros((n, source.channels), np.float32)
                filled_s += gap_s
                heard_at = now
            self._publish(pipeline.process(block), filled_s)

    def _publish(self, results: list[Result], filled_s: float) -> None:
        for bare in results:
            result = msgspec.structs.replace(
                bare,
                counters=Counters(
                    dropped_samples=self.source.dropped_samples,
                    overflows=self.source.overflows,
                    missed_results=self._missed,
                    bad_samples=self._pipeline.bad_samples,
                    filled_ms=round(filled_s * 1e3),
                ),
            )
            self._put(result)

    def _put(self, result: Result) -> None:
        while not self._stop.is_set():
            try:
                self._results.put(result, timeout=0 if self.source.live else READ_TIMEOUT_S)
                return
            except queue.Full:
                if self.source.live:
                    try:
                        self._results.get_nowait()
                        self._missed += 1
                    except queue.Empty:
                        continue  # the reader took it in the meantime


def recognize_file(
    path: str | os.PathLike[str],
    cast: str | os.PathLike[str] | Cast | None = None,
    settings: Settings | None = None,
) -> Iterator[Result]:
    """Recognize a sound file as fast as it goes, in this thread.

    Parameters
    ----------
    path : path-like
        WAV, FLAC, OGG or MP3.
    cast, settings
        As for `Recognizer`.

    Yields
    ------
    Result
        One each hop, as the live recognizer would have given them.

    Raises
    ------
    KikiwakeError
        If the file is missing, empty or not audio, or the cast cannot be used.
    """
    settings = settings or load_settings()
    cast = settings.cast if cast is None else cast
    if not isinstance(cast, Cast):
        cast = load_cast(cast)
    with FileSource(Path(path)) as source:
        pipeline = Pipeline(
            cast, settings, sample_rate=source.sample_rate, channels=source.channels
        )
        ended = False
        while not ended:
            block = source.read(READ_TIMEOUT_S)
            ended = block is None
            results = pipeline.finish() if block is None else pipeline.process(block)
            for result in results:
                yield msgspec.structs.replace(
                    result, counters=Counters(bad_samples=pipeline.bad_samples)
                )
