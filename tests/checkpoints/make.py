"""Make a small file of the present checkpoint format, to be kept for the tests of later versions.

    python train.py name=tiny latent_dim=3 representation.n_fft=64 representation.hop=16 representation.frames=32 \
        minutes=null trainer.max_epochs=1 trainer.limit_train_batches=2 trainer.limit_test_batches=1
    python -m tests.checkpoints.make outputs/tiny/checkpoints/last.ckpt
"""

import io
import lzma
import sys
from pathlib import Path

import torch

from vae2ch.codec import CHECKPOINT_FORMAT


def repeating(value):
    """A tensor of the same size whose values repeat, and any other value as it is."""
    if isinstance(value, dict):
        return {name: repeating(part) for name, part in value.items()}
    if isinstance(value, list):
        return [repeating(part) for part in value]
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() > 1000:
        return (torch.arange(value.numel()) % 7 * 0.01 - 0.03).reshape(value.shape)
    return value


if __name__ == "__main__":
    checkpoint = repeating(torch.load(sys.argv[1], weights_only=True))
    size = len(checkpoint["state_dict"]["codec.latents.centre"])
    checkpoint["state_dict"]["codec.latents.covariance"] = torch.eye(size)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    path = Path(__file__).parent / f"format{CHECKPOINT_FORMAT}.ckpt.xz"
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=9))
    print(f"{path}: {path.stat().st_size} bytes")
