"""The recognizer: sources, thread and clock, and the demo through a real sound server."""

import json
import signal
import sys
import threading
import time

import msgspec
import numpy as np
import pytest
import soundfile

from kikiwake.engine.capture import FileSource
from kikiwake.engine.config import Settings
from kikiwake.engine.recognizer import Recognizer, recognize_file
from kikiwake.engine.result import Counters, Result, turns
from kikiwake.errors import CastError, SourceError
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import read_rttm, score


@pytest.fixture(scope="module")
def demo_results():
    return list(recognize_file(DEMO, settings=Settings()))


def test_recognizer_and_recognize_file_agree(demo_results):
    with Recognizer(source=DEMO, settings=Settings()) as recognizer:
        results = list(recognizer)
    assert results == demo_results


def test_results_are_json(demo_results):
    line = json.loads(msgspec.json.encode(demo_results[-1]))
    assert set(line) == set(Result.__struct_fields__)


def test_leaving_early_stops_the_worker():
    with Recognizer(source=FileSource(DEMO, realtime=True), settings=Settings()) as recognizer:
        next(iter(recognizer))
    assert not any(thread.name == "kikiwake" for thread in threading.enumerate())


def test_errors_come_before_anything_starts(tmp_path):
    with pytest.raises(CastError, match="no such file"):
        Recognizer(cast=tmp_path / "none.cast", source=DEMO)
    with pytest.raises(SourceError, match="no such file"), Recognizer(source="./none.wav"):
        pass
    with pytest.raises(RuntimeError, match="enter the Recognizer first"):
        next(iter(Recognizer(source=DEMO)))


def test_iterating_after_the_end_ends():
    with Recognizer(source=DEMO, settings=Settings()) as recognizer:
        assert list(recognizer)
        assert list(recognizer) == []
    assert list(recognizer) == []


def test_iterating_after_leaving_ends_and_entering_again_is_refused():
    recognizer = Recognizer(source=DEMO, settings=Settings())
    with recognizer:
        time.sleep(0.5)  # the queue is full, the worker waits
    assert len(list(recognizer)) > 0
    with pytest.raises(RuntimeError, match="entered once"), recognizer:
        pass


class Stuck:
    """A live source that speaks, then delivers nothing for a while, then ends."""

    name, sample_rate, channels, live = "stuck", 48_000, 1, True
    dropped_samples = overflows = 0

    def __init__(self, quiet_s):
        self._quiet_s = quiet_s

    def __enter__(self):
        sound, _ = soundfile.read(DEMO, dtype="float32")
        self._sound = sound[: 4 * self.sample_rate, None]
        self._until = None
        return self

    def __exit__(self, *_):
        pass

    def read(self, timeout_s):
        if self._until is None:
            self._until = time.monotonic() + self._quiet_s
            return self._sound
        if time.monotonic() < self._until:
            time.sleep(timeout_s)
            return np.empty((0, 1), np.float32)
        return None


def test_a_source_that_delivers_nothing_is_read_as_silence():
    with Recognizer(source=Stuck(1.5), settings=Settings()) as recognizer:
        results = list(recognizer)
    assert any(result.character for result in results if result.time < 4)
    assert results[-1].character is None, "no name is left on the screen"
    assert 1000 <= results[-1].counters.filled_ms <= 1700
    assert results[-1].time == pytest.approx(5.5, abs=0.4)


def test_a_slow_reader_of_a_live_source_misses_results_and_is_told():
    with Recognizer(source=Stuck(0.3), settings=Settings(hop_ms=10)) as recognizer:
        time.sleep(1.5)
        results = list(recognizer)
    assert results[-1].counters.missed_results > 0
    assert results[-1].time > 4, "the newest are kept"


def test_demo_is_named_as_promised(demo_results):
    scored = score(demo_results, read_rttm(DEMO_TRUTH))
    assert scored.share(scored.right_s) >= 0.95
    assert scored.unjustified_changes == 0
    assert scored.longest_overhang_s <= 0.5


def test_a_healthy_stream_counts_nothing(demo_results):
    assert all(result.counters == Counters() for result in demo_results)


def shift(ours, reference):
    """Seconds that our turns come after those of the reference, by their starts."""
    return float(np.median([a.start - b.start for a, b in zip(ours, reference, strict=True)]))


def test_demo_through_the_sound_server_gives_the_turns_of_the_file(pulse, demo_results, tmp_path):
    """Another program plays it, PortAudio hears it from the monitor: same names, within 150 ms."""
    sound, rate = soundfile.read(DEMO, dtype="float32")
    wav = tmp_path / "demo.wav"
    soundfile.write(wav, sound, rate)
    environment = pulse.env | {"KIKIWAKE_CONFIG": str(tmp_path / "none.toml")}
    command = (sys.executable, "-m", "kikiwake", "run", "--input", "loopback", "--json")
    # Into a file: a pipe that nobody empties would hold the listener up.
    heard_in = tmp_path / "heard.jsonl"
    with heard_in.open("wb") as output:
        listener = pulse.popen(*command, env=environment, stdout=output)
        while not heard_in.stat().st_size:
            assert listener.poll() is None, listener.stderr.read()
            time.sleep(0.05)
        pulse.play(wav)
        time.sleep(1)
        listener.send_signal(signal.SIGINT)
        _, errors = listener.communicate(timeout=20)
    assert listener.returncode == 0, errors
    live = [msgspec.json.decode(line, type=Result) for line in heard_in.read_bytes().splitlines()]
    expected, heard = turns(demo_results), turns(live)
    assert [turn.character for turn in heard] == [turn.character for turn in expected]
    offset = shift(heard, expected)
    for ours, reference in zip(heard, expected, strict=True):
        assert ours.start - offset == pytest.approx(reference.start, abs=0.15)
        assert ours.end - offset == pytest.approx(reference.end, abs=0.15)
    # The clock of the listener, put to that of the sound as far as the turns tell: a lateness
    # that is the same throughout is not seen here.
    aligned = [msgspec.structs.replace(result, time=result.time - offset) for result in live]
    scored = score([r for r in aligned if r.time >= 0], read_rttm(DEMO_TRUTH))
    print(f"live: {100 * scored.share(scored.right_s):.1f} % right, {scored}")  # shown by pytest -s
    assert scored.share(scored.right_s) >= 0.93
    assert scored.unjustified_changes == 0
    assert (live[-1].counters.dropped_samples, live[-1].counters.missed_results) == (0, 0)
