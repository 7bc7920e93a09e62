"""What a trained model can do, with nothing but its checkpoint."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vae2ch.refusal import Refusal
from vae2ch.synthesis import synthesise
from vae2ch.training import FORMAT, VAEModule

BATCH = 16  # segments at once


def find_checkpoint(path: Path) -> Path:
    """The checkpoint file that ``path`` means: itself, or a run's best or last one.

    Raises:
        Refusal: there is none
    """
    if path.is_file():
        return path
    if not path.exists():
        raise Refusal(f"{path} does not exist; give a run folder (outputs/...) or a .ckpt file")
    for name in ("best.ckpt", "last.ckpt"):
        if (found := path / "checkpoints" / name).is_file():
            return found
    raise Refusal(f"{path} holds no checkpoints/best.ckpt or last.ckpt; give a run folder or a .ckpt file")


def load(path: Path, device: str = "cpu") -> VAEModule:
    """The model of a run folder or checkpoint, ready to use.

    Raises:
        Refusal: no checkpoint, or one that is damaged, foreign, or of another version
    """
    path = find_checkpoint(path)
    try:
        # weights_only: a checkpoint is data, and nothing in it may run
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for files that are not its own
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise Refusal(f"{path} is not a readable checkpoint, or is truncated ({reason})") from None
    if not isinstance(checkpoint, dict) or "vae2ch" not in checkpoint:
        raise Refusal(f"{path} is a checkpoint, but not one of vae2ch")
    if checkpoint["vae2ch"] != FORMAT:
        raise Refusal(f"{path} has format {checkpoint['vae2ch']}; this version reads format {FORMAT}")
    try:
        module = VAEModule(**checkpoint["hyper_parameters"])
        module.load_state_dict(checkpoint["state_dict"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Refusal(f"{path} does not fit its own settings ({str(error).splitlines()[0][:120]})") from None
    return module.to(device).eval().requires_grad_(False)


def crossfade(segment: int, overlap: int) -> Tensor:
    """Weights that sum to one where segments overlap  [S]"""
    ramp = torch.linspace(0, 1, overlap + 2)[1:-1]
    return torch.cat([ramp, torch.ones(segment - 2 * overlap), ramp.flip(0)])


def reconstruct(module: VAEModule, wave: Tensor, *, ceiling: bool = False) -> Tensor:
    """A sound of any length [S] through the model (or, for ``ceiling``, past it); the same length back.

    Long sounds go through in segments that overlap by an eighth and are crossfaded.
    """
    representation = module.representation
    length = representation.segment
    overlap = length // 8
    stride = length - overlap
    count = 1 + max(0, -(-(wave.shape[-1] - length) // stride))
    whole = length + (count - 1) * stride
    segments = functional.pad(wave, (0, whole - wave.shape[-1])).unfold(0, length, stride)  # [N, S]
    weights = crossfade(length, overlap).to(wave.device).expand(count, length).clone()
    weights[0, :overlap] = 1
    weights[-1, length - overlap :] = 1
    output = torch.zeros(whole, device=wave.device)
    with torch.inference_mode():
        for start in range(0, count, BATCH):
            spectrogram = representation(segments[start : start + BATCH])
            if not ceiling:
                spectrogram = module.reconstruct(spectrogram)
            for number, part in enumerate(synthesise(representation, spectrogram), start):
                output[number * stride : number * stride + length] += weights[number] * part
    return output[: wave.shape[-1]]


def render(module: VAEModule, latent: Tensor, peak: Tensor) -> Tensor:
    """What latents [B, D] sound like, their largest samples brought to ``peak`` [B]  [B, S]

    Not their loudest bins: what is decoded of a noise is smoother than the noise, and would be too loud. Nor their
    energy: drums would pass full scale.
    """
    with torch.inference_mode():
        wave = synthesise(module.representation, module.vae.decode(latent))
        return wave * (peak / wave.abs().amax(dim=1).clamp(min=1e-9))[:, None]


def variation(module: VAEModule, wave: Tensor, seed: int) -> Tensor:
    """A sound like one of at most a segment [S], drawn from around its latents, with its peak; the same length back."""
    representation = module.representation
    with torch.inference_mode():
        whole = functional.pad(wave, (0, representation.segment - wave.shape[-1]))[None]
        levelled, _ = representation.levelled(representation(whole))
        near = module.near(module.vae.encode(levelled).mean, torch.Generator().manual_seed(seed))
    return render(module, near, whole.abs().amax(dim=1))[0, : wave.shape[-1]]


def sample(module: VAEModule, count: int, seed: int) -> Tensor:
    """Sounds that nobody made, from where the training sounds lie among the latents  [count, S]"""
    return render(module, *module.draw(count, torch.Generator().manual_seed(seed)))
