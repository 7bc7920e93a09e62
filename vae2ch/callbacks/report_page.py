"""The report as a page: plain HTML beside the WAV files, without network or scripts."""

from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from vae2ch.files import replace_text

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
td {{ padding: .3rem .8rem .3rem 0 }}
section {{ border-top: 1px solid #ddd; padding: .5rem 0 1rem }}
figure {{ display: inline-block; margin: 0 1rem .5rem 0 }}
figcaption {{ color: #666 }} img {{ max-width: 100%; display: block }}
</style></head><body>
<h1>{title}</h1>
<p>Sounds that the model was not trained on: first test sounds, then the validation sounds that TensorBoard shows
during training. The <b>ceiling</b> is analysis and synthesis without the model, exact up to rounding. The
<b>variation</b> has the latents of the sound, changed at random.</p>
<table>{scores}</table>
{sounds}
<section><h2>New sounds, sampled from the latents of the training sounds</h2>{samples}</section>
</body></html>
"""


class SoundRow(NamedTuple):
    """One sound of the report; files are relative to the page."""

    label: str
    players: dict[str, str]  # caption to WAV file
    image: str


def player(file: str, caption: str) -> str:
    """HTML of one sound with its caption."""
    return f'<figure><figcaption>{escape(caption)}</figcaption><audio controls src="{quote(file)}"></audio></figure>'


def write_page(path: Path, title: str, scores: dict[str, float], sounds: list[SoundRow], samples: list[str]) -> None:
    """Write the page with the scores, the held-out sounds, and the WAV files of new samples."""
    table = "".join(f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in scores.items())
    sections = "".join(
        f"<section><h2>{escape(sound.label)}</h2>"
        + "".join(player(file, caption) for caption, file in sound.players.items())
        + f'<img src="{quote(sound.image)}" alt="spectrograms of original and reconstruction"></section>'
        for sound in sounds
    )
    players = "".join(player(file, f"sample {number}") for number, file in enumerate(samples, 1))
    replace_text(path, PAGE.format(title=escape(title), scores=table, sounds=sections, samples=players))
