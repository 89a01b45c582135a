"""torch may be absent: then nothing here runs."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
# The models are tiny: threads would only wait for each other.
torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))

TALE = "the cat sat on a mat and saw that the rat had eaten the hat of the fat bat"


def story(sentences: int = 400) -> str:
    """A text with something to learn, the same every time."""
    import random

    pick = random.Random(0)
    return "".join(" ".join(pick.choices(TALE.split(), k=6)) + ".\n" for _ in range(sentences))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text(story(), encoding="utf-8")
    return path


@pytest.fixture
def small(text_file):
    """Settings of a run of a second or less."""
    from hidim.lab import Settings

    return Settings(
        data=str(text_file),
        tokens="char",
        width=8,
        context=8,
        batch_size=8,
        steps=40,
        lr=1.0,
        validation_tokens=256,
        evaluation_growth=1.3,
    )
