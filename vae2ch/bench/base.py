"""Write the base model of a run: its weights with 8 bits, and what it was made of."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch

from vae2ch.bench import common
from vae2ch.cli.record import RunRecord, read_record
from vae2ch.codec import SoundCodec
from vae2ch.data import SoundDataModule
from vae2ch.data.world import RECORDED
from vae2ch.errors import InputError
from vae2ch.initial_weights.base import average_variance, features_of
from vae2ch.initial_weights.base_file import Base, write_base

SEGMENTS = 600  # over which the posterior's variance is averaged
KINDS = {  # of the sounds in a world, by the first word of their names in its folder ``recorded``
    "procedural": "procedural sounds of data=world",
    "fluid": "notes and drums of the soundfont FluidR3 GM (MIT)",
    "musescore": "notes and drums of the soundfont MuseScore General (MIT)",
    "rumpf": "drums of a Hydrogen kit by Emanuel Rumpf (CC-BY 3.0)",
    "strums": "guitar strums of a Hydrogen kit by Gabriel Verdugo Soto (CC-BY 3.0)",
    "speech": "texts spoken by eSpeak NG",
}
OTHER = "other sounds"


def main() -> None:
    """Write the file."""
    parser = common.plain_parser("base", "Write the base model of a run.", "outputs/base 16k.base")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run of experiment=base")
    parser.add_argument("file", metavar="FILE", type=Path, help="the base model")
    with common.one_line_errors():
        options = parser.parse_args()
        record = read_record(options.run)
        if record is None:
            raise InputError(f"{options.run} is no run")
        base = base_of(options.run, record)
        write_base(options.file, base)
        print(*(f"{key}: {value}" for key, value in base.about.items()), sep="\n")
        print(f"{options.file}: {options.file.stat().st_size / 2**20:.1f} MiB")


@torch.no_grad()
def base_of(run: Path, record: RunRecord) -> Base:
    """The model of a run, with a posterior that has the same variances for all sounds."""
    config, codec = record.config(), SoundCodec.load(run)
    data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
    data.setup()
    features = data.sample(SEGMENTS, lambda batch: features_of(codec.vae, batch.spectrogram))
    dim, latent = codec.vae.latent_dim, codec.vae.encoder.latent
    variance = average_variance(codec.vae, features)
    latent.weight[dim:] = 0
    latent.bias[dim:] = variance.log()
    made = sources([sound.name for sound in data.collection.sounds] if config.data.source == "world" else [])
    about = {
        "date": f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "data": "; ".join(f"{count} {kind}" for kind, count in made.items()) or OTHER,
        "licence": licence_of(made),
        "scores": json.dumps(record.scores),
    }
    core = config.training.core_latents or dim
    return Base(codec.vae, config.representation, config.training.kl_weight, core, run.name, about)


def licence_of(made: Counter[str]) -> str:
    """Licence of a model of sounds, by what they are."""
    return "CC0" if made and OTHER not in made else "that of its sounds"


def sources(names: Iterable[str]) -> Counter[str]:
    """Number of the sounds of a world, which are named by their paths, by what they are."""
    kinds = (
        name.removeprefix(f"{RECORDED}/").partition("-")[0] if name.startswith(f"{RECORDED}/") else "procedural"
        for name in names
    )
    return Counter(KINDS.get(kind, OTHER) for kind in kinds)


if __name__ == "__main__":
    main()
