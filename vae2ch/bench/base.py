"""Write the base model of a run: its weights with 8 bits, and what it was made of."""

import datetime
import json
from pathlib import Path

import torch

from vae2ch.bench import common
from vae2ch.cli.record import read_record
from vae2ch.codec import SoundCodec
from vae2ch.data import SoundDataModule
from vae2ch.errors import InputError
from vae2ch.initial_weights.base import average_variance, features_of
from vae2ch.initial_weights.base_file import Base, write_base

SEGMENTS = 600  # over which the posterior's variance is averaged
DATA = (
    "procedural sounds of data=world; notes and drums of the soundfonts FluidR3 GM and MuseScore General (MIT); "
    "the Hydrogen kits of Emanuel Rumpf and Gabriel Verdugo Soto (CC-BY 3.0); speech of eSpeak NG"
)
LICENCE = "CC0"


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
        config = record.config()
        codec = SoundCodec.load(options.run)
        data = SoundDataModule(config.data, config.augment, config.representation, config.seed)
        data.setup()
        with torch.no_grad():
            features = data.sample(SEGMENTS, lambda batch: features_of(codec.vae, batch.spectrogram))
            variance = average_variance(codec.vae, features)
        about = {
            "name": options.file.stem,
            "date": f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
            "data": DATA,
            "licence": LICENCE,
            "sounds": str(len(data.collection.sounds)),
            "scores": json.dumps(record.scores),
        }
        write_base(options.file, Base(codec.vae, variance, config.representation, config.training.kl_weight, about))
        print(f"{options.file}: {options.file.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
