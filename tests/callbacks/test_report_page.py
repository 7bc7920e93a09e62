from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from vae2ch.callbacks.report import short_stem
from vae2ch.callbacks.report_page import SoundRow, write_page

LABEL = 'a&b <script>"c"</script> #1 100%.wav @ 1.00 s'
STEM = 'audio/01-a&b <c> #1 100% "d"'


class Page(HTMLParser):
    """Tags, texts and files of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.files = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.files += [unquote(value) for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def text(tmp_path):
    players = {"original": f"{STEM}-original.wav", "reconstruction": f"{STEM}-reconstruction.wav"}
    path = tmp_path / "report.html"
    write_page(path, "run <1>", {"test/snr": 12.34567}, [SoundRow(LABEL, players, f"{STEM}.png")], ["audio/new.wav"])
    return path.read_text(encoding="utf-8")


def test_the_page_names_all_files_whatever_their_characters(text):
    files = [f"{STEM}-original.wav", f"{STEM}-reconstruction.wav", f"{STEM}.png", "audio/new.wav"]
    assert Page(text).files == files


def test_labels_and_scores_are_shown_as_text(text):
    page = Page(text)
    assert {"run <1>", LABEL, "original", "reconstruction", "test/snr", "12.35", "sample 1"} <= set(page.texts)
    assert "script" not in page.tags
    assert page.tags.count("audio") == 3


def test_the_page_needs_no_network(text):
    assert "http" not in text
    assert "//" not in text


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("sub/太鼓.wav @ 1.50 s", "太鼓"),
        ("kick @ 1.00 s.wav", "kick @ 1.00 s"),
        ("new\\nline.wav", "new_nline"),
        ("-a#b%20?&.flac", "-a#b%20?&"),
    ],
)
def test_files_have_the_name_of_their_sound(label, stem):
    assert short_stem(label) == stem


@pytest.mark.parametrize("letter", ["x", "太", "🥁"])
def test_names_of_files_are_not_too_long(letter):
    stem = short_stem(60 * letter + ".wav")
    assert set(stem) == {letter}
    assert len(f"01-{stem}-reconstruction.wav.part".encode()) < 144  # what an encrypted folder allows
