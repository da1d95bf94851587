"""`kikiwake evaluate --stream`: recordings with their truth, named as they would have been live."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import soundfile

from ..engine.config import load_settings, not_default
from ..engine.recognizer import recognize_file
from ..engine.result import Counters, Result
from ..models.cast import Cast, load_cast
from . import report, stream
from .cast_files import shown
from .score import TruthError, read_truth
from .terminal import extra, progress_bar, say

TRUTHS = ".rttm", ".txt"
_BEYOND_S = 1.0


def evaluate_stream(cast: str, recordings: Sequence[Path], to: Path | None = None) -> None:
    """Name recordings as live, and print figures of how steadily: a line for each, and the total.

    Parameters
    ----------
    cast : str
        A cast file, or ``starter``.
    recordings : sequence of Path
        Sound files, at least one, each with its truth beside it: `truth_beside`.
    to : Path, optional
        Folder for a report; see `kikiwake.tools.stream_report.write_stream_report`.

    Raises
    ------
    KikiwakeError
        A file is missing or cannot be used, or the folder cannot be written to. All that can be
        known beforehand is said before anything is done.
    """
    if to is not None:
        report.check_folder(to)
        with extra("train", "a report"):
            importlib.import_module("matplotlib")
    truths = [read_truth(truth_beside(recording)) for recording in recordings]
    judged, settings, no_counters = load_cast(cast), load_settings(), Counters()
    heard = []
    with progress_bar() as tell:
        for recording, truth in zip(recordings, truths, strict=True):
            results: list[Result] = []
            told_s, length_s = -1, 0
            for result in recognize_file(recording, judged, settings):
                if not results:
                    length_s = round(soundfile.info(recording).duration)
                if int(result.time) > told_s:
                    told_s = int(result.time)
                    tell(recording.name, told_s, length_s)
                # Of an hour there are many: only what is looked at is kept.
                top = () if to is None else result.top
                results.append(msgspec.structs.replace(result, top=top, counters=no_counters))
            heard.append(stream.Heard(recording.name, results, truth))
    for warning in _doubts(heard, judged):
        say(f"beware: {warning}")
    if own := not_default(settings, "input", "cast"):
        say(own)
    figures = stream.measure(heard, judged.card.characters)
    if len(figures.recordings) > 1:
        for each in figures.recordings:
            say(stream.headline(each))
    for line in stream.describe(figures):
        say(line)
    if to is not None:
        from . import stream_report

        stream_report.write_stream_report(figures, heard, judged.card, to)
        say(f"{to / report.PAGE}: written")


def _doubts(heard: Sequence[stream.Heard], cast: Cast) -> Iterator[str]:
    """Say what may be wrong with the truths."""
    known = {stream.key(character.name) for character in cast.card.characters}
    strangers = {
        turn.name for one in heard for turn in one.truth if stream.key(turn.name) not in known
    }
    if strangers:
        yield f"not of the cast, so strangers: {', '.join(sorted(map(shown, strangers)))}"
    for one in heard:
        end_s = one.results[-1].time if one.results else 0.0
        beyond_s = max((turn.end for turn in one.truth), default=0.0) - end_s
        if not one.truth:
            yield f"{one.name}: nobody speaks in its truth"
        elif beyond_s > _BEYOND_S:
            yield f"{one.name}: its truth goes on for {beyond_s:.1f} s after its end"


def truth_beside(recording: Path) -> Path:
    """Find the truth about a recording: the same name, ending in ``.rttm``, else in ``.txt``.

    Raises
    ------
    TruthError
        There is none, or no recording.
    """
    if not recording.is_file():
        wrong = "is a folder; name recordings" if recording.is_dir() else "no such file"
        raise TruthError(f"{recording}: {wrong}")
    for suffix in TRUTHS:
        truth = recording.with_suffix(suffix)
        if truth.exists():
            return truth
    rttm, labels = (recording.with_suffix(suffix).name for suffix in TRUTHS)
    raise TruthError(
        f"{recording}: has no truth beside it: need {rttm} (RTTM) or {labels} (a label track of "
        "Audacity: start, end and name, with tabs between)"
    )
