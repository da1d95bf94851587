"""Sources, pipeline and clock put together: what programs and the command line use."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, KikiwakeError, one_line
from ..models.cast import Cast, load_cast
from ..models.runner import CastRunner
from ..vad.detector import load_detector
from .capture import FileSource, open_source
from .config import Settings, SettingsFile, load_settings
from .device import DeviceSource
from .pipeline import Pipeline
from .result import Counters, Result, State
from .source import Source
from .waveform import Waveform

_log = logging.getLogger(__name__)

QUEUE_RESULTS = 64
READ_TIMEOUT_S = 0.15
# A live source that delivers nothing for this long is quiet: no name is left on the screen. What
# comes late, after a stumble of the computer, goes on where the sound stopped.
QUIET_S = 0.25
# After this long nothing comes late any more: the time has passed without sound.
LOST_S = 1.0
# After such a gap the clock of the results goes by that of the computer, but for this.
PUNCTUAL_S = 0.05
# How long a thread may keep the GIL from others while a live source is listened to.
SWITCH_S = 0.0005
# While nobody speaks, digital silence is let pile up for so long before it is recognized as such:
# most of what listening to a computer that plays nothing costs is the waking up.
PILE_S = 0.4
# A device may be slower by four hops, which saves wake-ups, but no slower than this.
LONGEST_LATENCY_MS = 400.0
# So much of the newest sound is kept, for new settings to be put in the picture.
HISTORY_S = 2.0


class Recognizer:
    """Names, live, who is speaking: a context manager, and an iterator of results.

    Parameters
    ----------
    cast : str, path-like or Cast, optional
        ``starter``, the path of a cast file, or a cast in memory. By default as in the settings.
    source : str, path-like or Source, optional
        As `kikiwake.engine.capture.open_source` takes it: ``loopback``, ``default``, a device, a
        file. By default as in the settings.
    settings : Settings or SettingsFile, optional
        By default the user's config file. A file is read again whenever it changes, and takes
        effect between two results; a mistake in it is told in `Result.notice`, and the settings
        stay as they were. A *cast* or a *source* that is given stays, whatever the file says.
    wait : bool
        Wait for a device that is not there at the start, too, instead of raising.

    Attributes
    ----------
    settings : Settings
        In effect.
    cast : Cast
        In use by the worker. Who iterates may still be given results of the one before; see
        `use_cast`.
    source : Source
        What is listened to.

    Raises
    ------
    KikiwakeError
        From the constructor or on entering: no such cast, source or device, bad settings. What
        goes wrong later is raised by the iterator, or, where nobody iterates, on leaving.
    TypeError
        An argument is of none of these types.

    Notes
    -----
    A worker thread reads the source and runs the pipeline. It never waits for anybody who looks at
    the results: `latest` is a slot that holds the newest; the iterator is fed by a queue, and when
    its reader is slow, the oldest results are dropped and counted in `Counters.missed_results`.
    From a file or a pipe nothing is dropped; there the worker waits for the iterator, also where
    only `latest` is looked at.

    A device that is lost ends nothing: see `Result.state`.

    While a live source is listened to, `sys.setswitchinterval` is at most half a millisecond in
    this process; it is put back when the last recognizer ends.

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
        settings: Settings | SettingsFile | None = None,
        *,
        wait: bool = False,
    ) -> None:
        self._file: SettingsFile | None = None
        if not isinstance(settings, (Settings, SettingsFile, type(None))):
            raise TypeError(f"settings must be Settings, SettingsFile or None, not {settings!r}")
        if not (
            source is None or isinstance(source, (str, os.PathLike)) or hasattr(source, "read")
        ):
            raise TypeError(f"source must be a text, a path or a Source, not {source!r}")
        if not isinstance(settings, Settings):
            self._file = settings or SettingsFile()
            settings = self._file.load()
        self.settings = settings
        self._own_cast, self._own_source = cast is None, source is None
        cast = self.settings.cast if cast is None else cast
        self.cast = cast if isinstance(cast, Cast) else load_cast(cast)
        source = self.settings.input if source is None else source
        if isinstance(source, (str, os.PathLike)):
            source = open_source(os.fspath(source), **source_times(self.settings), wait=wait)
        self.source = source
        self._results: queue.Queue[Result] = queue.Queue(QUEUE_RESULTS)
        self._latest: Result | None = None
        self._waveform: Waveform | None = None
        self._missed = 0
        self._iterated = False
        self._changes: queue.SimpleQueue[tuple[Settings | None, Cast | None]]
        self._changes = queue.SimpleQueue()
        self._mistake: str | None = None
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._worker: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        # The worker's own.
        self._history = _History()
        self._bad_samples = 0  # of pipelines that are no more
        self._lost_frames = 0
        self._missing_s = 0.0
        # None before the first sound: some devices take a second or two to begin.
        self._heard_at: float | None = None
        self._gap: _Gap | None = None
        self._silent_frames = 0  # heard, and not given to the pipeline yet
        self._late_frames = 0
        self._tell_at = 0.0
        self._told: State = "listening"

    @property
    def config(self) -> Path | None:
        """The config file that it follows, there or not; None where settings were given."""
        return self._file.path if self._file else None

    @property
    def latest(self) -> Result | None:
        """The newest result, None before the first; from any thread, at any time."""
        return self._latest

    @property
    def running(self) -> bool:
        """Whether it is listening: not before it is entered, nor after the sound's end or a fault.

        What has gone wrong is raised by the iterator, and by leaving where nobody iterates.
        """
        return self._worker is not None and self._worker.is_alive()

    @property
    def waveform(self) -> Waveform | None:
        """The newest sound, to be drawn; None before entering.

        Another object with new settings, another cast, or another rate or number of channels of
        the source: ask for it each time.
        """
        return self._waveform

    def use_cast(self, cast: Cast) -> None:
        """Go on with another cast, between two results; from any thread.

        `Recognizer.cast` is the new one from then on. What was said by the old one is still there:
        `latest`, until the next result, and to who iterates, what waits to be read, which is
        little but for a slow reader, and at most `QUEUE_RESULTS`.

        Parameters
        ----------
        cast : Cast
            In use until the end, or until the config file names yet another.

        Raises
        ------
        CastError
            Its network cannot be used; all stays as it is.
        """
        CastRunner(cast)
        self._changes.put((None, cast))

    def __enter__(self) -> Self:
        if self._worker is not None:
            raise RuntimeError("a Recognizer is entered once; make another")
        self.source.__enter__()
        try:
            self._pipeline = self._new_pipeline(0.0)
            self._waveform = self._pipeline.waveform
            self._worker = threading.Thread(target=self._work, name="kikiwake", daemon=True)
            self._worker.start()
        except BaseException:
            self.source.__exit__(None, None, None)
            raise
        if self._file is not None:
            self._watcher = threading.Thread(
                target=self._watch, args=(self._file,), name="kikiwake-config", daemon=True
            )
            self._watcher.start()
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
            if self._watcher is not None:
                self._watcher.join(timeout=2.0)
        finally:
            self.source.__exit__(exc_type, exc, traceback)
        if self._error is not None and exc_type is None and not self._iterated:
            raise self._error

    def __iter__(self) -> Iterator[Result]:
        if self._worker is None:
            raise RuntimeError("enter the Recognizer first: with Recognizer(...) as recognizer")
        self._iterated = True
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
            with _quick_switching if self.source.live else contextlib.nullcontext():
                self._listen()
        except BaseException as error:  # raised by the iterator, where somebody can handle it
            self._error = error
            # For those who look at `latest` instead.
            self._latest = msgspec.structs.replace(self._pipeline.nobody(), notice=one_line(error))

    def _listen(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                self._apply(*self._changes.get_nowait())
            asked_at = time.monotonic()
            block = self.source.read(READ_TIMEOUT_S, min_frames=self._wanted_frames)
            if block is None:
                self._hear_silence()
                self._publish(self._pipeline.finish())
                return
            if len(block) and not self._can_wait(block):
                self._hear(block)
            # A loss is told at once, also when there was still something in the ring.
            lost = self.source.state == "waiting" and self._told != "waiting"
            # Who was stopped in the meantime looks once more before saying that nothing comes.
            looked = time.monotonic() < asked_at + 2 * READ_TIMEOUT_S
            if lost or (not len(block) and self.source.live and looked):
                self._hear_nothing()

    @property
    def _wanted_frames(self) -> int:
        """Sample frames that are worth waking up for."""
        if self._silent_frames:
            return round(self._pipeline.hop_s * self._pipeline.sample_rate)
        return self._pipeline.missing_frames

    def _can_wait(self, block: NDArray[np.float32]) -> bool:
        """Whether a block is left for later: digital silence, while nobody speaks."""
        latest, now = self._latest, time.monotonic()
        if (
            not self.source.live
            or latest is None
            or latest.speech
            or self._gap is not None
            or self._silent_frames + len(block) > PILE_S * self._pipeline.sample_rate
            or self.source.sample_rate != self._pipeline.sample_rate
            or block.any()
        ):
            return False
        self._silent_frames += len(block)
        self._heard_at, self._tell_at = now, now + QUIET_S
        return True

    def _hear_silence(self) -> None:
        """Give the pipeline the silence that has been left for later."""
        if self._silent_frames:
            silence = np.zeros((self._silent_frames, self._pipeline.channels), np.float32)
            self._silent_frames = 0
            self._history.add(silence, self._pipeline.sample_rate)
            self._publish(self._pipeline.process(silence))

    def _hear(self, block: NDArray[np.float32]) -> None:
        self._hear_silence()
        source, now = self.source, time.monotonic()
        rate = source.sample_rate
        if (rate, source.channels) != (self._pipeline.sample_rate, self._pipeline.channels):
            self._history.clear()
            self._replace_pipeline()
        counts = source.counters()
        lost_frames = counts.skipped_samples + counts.dropped_samples
        lost_s = (lost_frames - self._lost_frames) / rate
        self._lost_frames = lost_frames
        if self._gap is None:
            if lost_s > 0:
                self._pipeline.pass_time(lost_s)
        else:
            self._missing_s -= min(lost_s, self._missing_s)  # it came, too late
            block = self._end_gap(self._gap, block, now)
        self._heard_at, self._tell_at = now, now + QUIET_S
        self._history.add(block, rate)
        self._publish(self._pipeline.process(block), source.state, counts)

    def _end_gap(self, gap: _Gap, block: NDArray[np.float32], now: float) -> NDArray[np.float32]:
        """Put the clock of the results right; returns what of the block is not from the gap."""
        rate = self.source.sample_rate
        due_s = gap.heard_s + now - gap.began_at - len(block) / rate
        late_s = self._pipeline.heard_s - due_s
        if late_s <= PUNCTUAL_S:
            self._pass_time(max(-late_s, 0.0))
            self._gap = None
            return block
        # The time that this sound is from has been counted: the computer had stalled.
        late_frames = min(round(late_s * rate), len(block))
        self._late_frames += late_frames
        self._missing_s -= min(late_frames / rate, self._missing_s)
        return block[late_frames:]

    def _hear_nothing(self) -> None:
        self._hear_silence()
        now = time.monotonic()
        waiting = self.source.state == "waiting"
        if self._heard_at is None:
            if not waiting:
                return
            self._heard_at = now
        if now < self._tell_at and waiting == (self._told == "waiting"):
            return
        self._tell_at = now + QUIET_S
        if waiting or now - self._heard_at >= LOST_S:
            if self._gap is None:
                self._gap = _Gap(self._heard_at, self._pipeline.heard_s)
            clock_s = self._gap.heard_s + now - self._gap.began_at
            self._pass_time(max(clock_s - self._pipeline.heard_s, 0.0))
        self._publish([self._pipeline.nobody()], "waiting" if waiting else "quiet")

    def _pass_time(self, seconds: float) -> None:
        self._pipeline.pass_time(seconds)
        self._missing_s += seconds
        self._history.clear()

    def _publish(
        self,
        results: list[Result],
        state: State = "listening",
        counts: Counters | None = None,
    ) -> None:
        counts = counts or self.source.counters()
        for bare in results:
            self._told = state
            counters = msgspec.structs.replace(
                counts,
                skipped_samples=counts.skipped_samples + self._late_frames,
                missed_results=self._missed,
                bad_samples=self._bad_samples + self._pipeline.bad_samples,
                missing_ms=round(self._missing_s * 1e3),
            )
            notices = [said for said in (self.source.notice, self._mistake) if said is not None]
            result = msgspec.structs.replace(
                bare, state=state, notice="; ".join(notices) or None, counters=counters
            )
            self._latest = result
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
                        self._missed += self._iterated
                    except queue.Empty:
                        continue  # the reader took it in the meantime

    def _new_pipeline(self, start_s: float) -> Pipeline:
        return Pipeline(
            self.cast,
            self.settings,
            sample_rate=self.source.sample_rate,
            channels=self.source.channels,
            start_s=start_s,
        )

    def _replace_pipeline(self) -> None:
        """Go on with another pipeline, as if it had been there for the last seconds."""
        self._bad_samples += self._pipeline.bad_samples
        self._pipeline = self._new_pipeline(self._pipeline.heard_s - self._history.seconds)
        for block in self._history.blocks:
            self._pipeline.process(block)
        self._pipeline.bad_samples = 0  # of the past, and counted
        self._waveform = self._pipeline.waveform

    def _watch(self, file: SettingsFile) -> None:
        """Check what the config file says whenever it changes, and hand it to the worker."""
        known = self.settings
        try:
            for _ in file.changes(self._stop):
                try:
                    settings, cast = file.load(), None
                    if self._own_cast and settings.cast != known.cast:
                        cast = load_cast(settings.cast)
                        CastRunner(cast)  # says what is wrong with the network
                    if self._own_source and settings.input != known.input:
                        _device(settings)
                    if settings.gate != known.gate:
                        load_detector(settings.gate.detector)
                except KikiwakeError as error:
                    self._mistake = f"{error}; the settings stay as they were"
                    continue
                self._mistake = None
                if settings != known:
                    known = settings
                    self._changes.put((settings, cast))
        except Exception as error:
            _log.exception("while the config file was watched")
            self._mistake = f"config {file.path}: changes are not seen: {one_line(error)}"

    def _apply(self, settings: Settings | None, cast: Cast | None) -> None:
        """Put new settings or another cast into effect; None leaves them as they are."""
        self._hear_silence()
        before = self.settings
        settings = self.settings = settings or before
        self.cast = cast or self.cast
        if self._own_source and settings.input != before.input:
            self.source.__exit__(None, None, None)
            self.source = _device(settings)
            self.source.__enter__()
            self._history.clear()
            self._lost_frames = 0
        if isinstance(self.source, DeviceSource):
            self.source.max_lag_ms = settings.max_lag_ms
        self._replace_pipeline()


class _QuickSwitching:
    """Lets threads of this process take turns more often: no wait for the GIL is longer than a hop.

    Beside four threads that compute in Python, a worker that gives the GIL away for a moment waits
    20 ms for it with Python's own interval of 5 ms, several times a hop. Where nobody computes the
    interval means nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before_s = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(self._before_s, SWITCH_S))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._before_s)


_quick_switching = _QuickSwitching()


class SourceTimes(TypedDict):
    """What of the settings a device is opened with; see `DeviceSource`."""

    latency_ms: float
    max_lag_ms: float


def source_times(settings: Settings) -> SourceTimes:
    """Pick from the settings what a device is opened with."""
    # Not more, since it stays when the hop is changed later.
    latency_ms = min(4 * settings.hop_ms, LONGEST_LATENCY_MS) if settings.hop_ms >= 50 else 0.0
    return {"latency_ms": latency_ms, "max_lag_ms": settings.max_lag_ms}


def _device(settings: Settings) -> DeviceSource:
    """Make a source of what is to be listened to from now on; entering it does not fail."""
    source = open_source(settings.input, **source_times(settings), wait=True)
    if not isinstance(source, DeviceSource):
        raise ConfigError(f"input = {settings.input!r}: no device, which takes a new start")
    return source


class _Gap(NamedTuple):
    """Time without sound that the results count, from where it began.

    Attributes
    ----------
    began_at : float
        By `time.monotonic`.
    heard_s : float
        Time of the sound heard until then.
    """

    began_at: float
    heard_s: float


class _History:
    """The newest blocks of a stream, for so long as new settings need to be put in the picture."""

    def __init__(self) -> None:
        self.blocks: deque[NDArray[np.float32]] = deque()
        self.seconds = 0.0

    def add(self, block: NDArray[np.float32], sample_rate: int) -> None:
        self.blocks.append(block)
        self.seconds += len(block) / sample_rate
        while self.seconds - len(self.blocks[0]) / sample_rate >= HISTORY_S:
            self.seconds -= len(self.blocks.popleft()) / sample_rate

    def clear(self) -> None:
        self.blocks.clear()
        self.seconds = 0.0


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
