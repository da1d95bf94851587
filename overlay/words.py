"""What the window says, in English and Japanese."""

from __future__ import annotations

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
    config: str
    quit: str


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
    cast="Cast: {}",
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
    cast="キャスト：{}",
    config="設定ファイルを開く",
    quit="終了",
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
