"""What the window says, in English and Japanese."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Words(NamedTuple):
    """Everything that is said in one language; ``{}`` stands for a name."""

    listening: str
    as_whom: str
    unknown: str
    of_nobody: str
    second: str
    waiting: str
    nobody: str
    no_turns: str
    ago: tuple[str, str, str]
    compact: str
    full: str
    timeline: str
    click_through: str
    pause: str
    cast: str
    cast_files: str
    config: str
    quit: str
    notices: tuple[tuple[str, str], ...] = ()
    """What the engine says, in its words and in these: see `said_in`."""


ENGLISH = Words(
    listening="Kikiwake is listening",
    as_whom="as whom is not sure",
    unknown="Unknown voice",
    of_nobody="of nobody in this cast",
    second="and {}",
    waiting="Waiting for the sound device",
    nobody="Nobody is speaking",
    no_turns="Nobody has spoken for two minutes",
    ago=("2 min ago", "1 min", "now"),
    compact="Compact",
    full="Full",
    timeline="Timeline",
    click_through="Let clicks through",
    pause="Pause",
    cast="Cast: {}…",
    cast_files="Casts",
    config="Open the config file",
    quit="Quit",
)

JAPANESE = Words(
    listening="Kikiwakeが聞いています",
    as_whom="どの役かは未確定",
    unknown="知らない声",
    of_nobody="このキャストにいない声",
    second="＋ {}",
    waiting="音声デバイスを待っています",
    nobody="だれも話していません",
    no_turns="この2分間はだれも話していません",
    ago=("2分前", "1分前", "今"),
    compact="コンパクト",
    full="フル",
    timeline="タイムライン",
    click_through="クリックを通す",
    pause="一時停止",
    cast="キャスト：{}…",
    cast_files="キャスト",
    config="設定ファイルを開く",
    quit="終了",
    notices=(
        ("{}; the settings stay as they were", "{}（設定は変えていません）"),
        ("waiting for the device: {}", "音声デバイスを待っています：{}"),
        ("{} is gone: {}", "{}が見つかりません（{}）"),
        ("the device or its sound server stopped", "デバイスまたはサウンドサーバーが停止しました"),
        ("{} delivers no sound", "{}から音が届きません"),
        ("the default output has changed", "既定の出力が変わりました"),
        ("{} is not there", "{}がありません"),
        (
            "{} cannot be opened at {} Hz with {} channel(s): {}",
            "{}を開けません（{} Hz、{} ch：{}）",
        ),
        ("no loopback to listen to: {}", "再生音を聞くための入力がありません：{}"),
        ("no sound input here: {}", "音声入力がありません：{}"),
        ("no default input is set; {}", "既定の入力が設定されていません：{}"),
        ("no input has number {}; {}", "番号{}の入力はありません：{}"),
        ("no input is called {}; {}", "{}という入力はありません：{}"),
        ("the PortAudio library is missing, {}", "PortAudioがありません：{}"),
        ("PortAudio does not answer: {}", "PortAudioが応答しません：{}"),
        ("`kikiwake devices` lists the inputs", "入力の一覧は kikiwake devices で"),
        ("cast {}: no such file; {}", "キャスト {}：ファイルがありません"),
        ("cast {}: is a folder; {}", "キャスト {}：フォルダーです"),
        ("cast {}: cannot be read: {}", "キャスト {}：読めません（{}）"),
        ("cast {}: is not a Kikiwake cast file{}", "キャスト {}：Kikiwakeのキャストではありません"),
        ("cast {}: {}", "キャスト {}：使えません（{}）"),
        ("config {}: no such file; {}", "設定ファイル {}：ありません"),
        ("config {}: cannot be read: {}", "設定ファイル {}：読めません（{}）"),
        ("config {}: is not TOML: {}", "設定ファイル {}：TOMLではありません（{}）"),
        ("config {}: changes are not seen: {}", "設定ファイル {}：変更を検知できません（{}）"),
        ("config {}: {}", "設定ファイル {}：誤りがあります（{}）"),
    ),
)


def words(languages: Iterable[str]) -> Words:
    """Choose the language.

    Parameters
    ----------
    languages : iterable of str
        Of the user, the dearest first, as ``ja-JP``.

    Examples
    --------
    >>> words(["de-DE", "ja-Jpan-JP", "en"]).quit
    '終了'
    """
    for language in languages:
        code = language.replace("_", "-").partition("-")[0].lower()
        if code in ("ja", "en"):
            return JAPANESE if code == "ja" else ENGLISH
    return ENGLISH


def said_in(words: Words, notice: str) -> str:
    """Say what the engine tells in another language.

    Parameters
    ----------
    words : Words
        Of that language.
    notice : str
        As in `Result.notice`, of one thing or of several.

    Returns
    -------
    str
        What there are no words for, such as the text of a driver, stays as it is.

    Examples
    --------
    >>> said_in(JAPANESE, "waiting for the device: Headset delivers no sound")
    '音声デバイスを待っています：Headsetから音が届きません'
    >>> said_in(ENGLISH, "waiting for the device: Headset delivers no sound")
    'waiting for the device: Headset delivers no sound'
    """
    for theirs, ours in words.notices:
        parts = map(re.escape, theirs.split("{}"))
        if found := re.fullmatch("(.+?)".join(parts), notice):
            own = (said_in(words, part) for part in found.groups())
            # Some of what is told in English goes without saying.
            return ours.format(*own)
    first, mark, rest = notice.partition("; ")
    if not (mark and words.notices):
        return notice
    return f"{said_in(words, first)}；{said_in(words, rest)}"
