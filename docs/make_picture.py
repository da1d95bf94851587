"""Draw docs/demo.svg: the live view as it stands in the middle of the demo.

python docs/make_picture.py
"""

from pathlib import Path

from kikiwake import load_cast, recognize_file
from kikiwake.engine.config import Settings
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import read_rttm
from kikiwake.tools.view import LiveView, screenshot_svg

MOMENT_S = 50.0


def main() -> None:
    cast = load_cast("starter")
    names = [character.name for character in cast.card.characters]
    view = LiveView(f"{cast.card.name} · demo.ogg", names, read_rttm(DEMO_TRUTH))
    for result in recognize_file(DEMO, cast, Settings()):
        if result.time > MOMENT_S:
            break
        view.add(result)
    picture = Path(__file__).with_name("demo.svg")
    picture.write_text(screenshot_svg(view, title="kikiwake demo", height=22), encoding="utf-8")


if __name__ == "__main__":
    main()
