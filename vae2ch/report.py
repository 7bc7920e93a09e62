"""A page to hear a run on: plain HTML beside the WAV files, no network, no script."""

from html import escape
from pathlib import Path
from urllib.parse import quote

VERSIONS = ("original", "ceiling", "reconstruction", "sample")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top }}
section {{ border-top: 1px solid #ddd; padding: .5rem 0 1rem }}
figure {{ display: inline-block; margin: 0 1rem .5rem 0 }}
figcaption {{ color: #666 }}
img {{ max-width: 100%; display: block }}
</style></head><body>
<h1>{title}</h1>
<p>Sounds that the model was not trained on: first those of the test, then those of the validation, which
TensorBoard has from the start of the training on. The <b>ceiling</b> is analysis and synthesis without the
model: what differs between it and the reconstruction is the model's doing. The <b>sample</b> is drawn from
around the sound.</p>
<table>{metrics}</table>
{sounds}
<section><h2>Drawn from around any of the training sounds</h2>{samples}</section>
</body></html>
"""


def player(source: str, caption: str) -> str:
    """One sound with its caption."""
    return f'<figure><figcaption>{escape(caption)}</figcaption><audio controls src="{quote(source)}"></audio></figure>'


def write_report(
    path: Path, title: str, metrics: dict[str, float], rows: list[dict[str, str]], samples: list[str]
) -> None:
    """Write the page.

    Args:
        metrics: name to value
        rows: for each sound its name under "sound", its "picture", and a file for each version
        samples: files of drawn sounds
    """
    table = "".join(f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in metrics.items())
    sounds = "".join(
        f"<section><h2>{escape(row['sound'])}</h2>"
        + "".join(player(row[name], name) for name in VERSIONS)
        + f'<img src="{quote(row["picture"])}" alt="both channels, original and reconstruction"></section>'
        for row in rows
    )
    players = "".join(player(source, f"sample {number}") for number, source in enumerate(samples, 1))
    path.write_text(PAGE.format(title=escape(title), metrics=table, sounds=sounds, samples=players), encoding="utf-8")
