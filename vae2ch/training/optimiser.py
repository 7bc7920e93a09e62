"""The optimiser, and learning rates of each layer."""

import itertools
import math

import torch
from torch import nn

from vae2ch.config import TrainingConfig, given
from vae2ch.model import VAE

FULL_RATE_FAN_IN = 256  # inputs per output up to which a layer has the full learning rate
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def build_optimiser(vae: VAE, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019)."""
    groups = parameter_groups(vae, config.learning_rate, given(config.weight_decay))
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)


def fan_in(layer: nn.Module) -> int:
    """Number of inputs that one output of a layer depends on."""
    if isinstance(layer, nn.ConvTranspose2d):  # an output depends on one in stride x stride weights
        return layer.weight[:, 0].numel() // math.prod(layer.stride)
    return layer.weight[0].numel()


def parameter_groups(vae: VAE, learning_rate: float, weight_decay: float) -> list[dict]:
    """Parameters with their learning rate and weight decay, for an optimiser. Biases are not decayed.

    A step of Adam changes all weights by about the same amount, so the output of a layer changes with the number of
    its inputs: above ``FULL_RATE_FAN_IN`` the learning rate is inversely proportional to it (Yang et al. 2022, "Tensor
    programs V"). Otherwise the 32,768 inputs of the latents would undo the PCA initialisation within a few steps.
    """
    layers = sorted((layer for layer in vae.modules() if isinstance(layer, LAYERS)), key=fan_in)
    weights = {id(layer.weight) for layer in layers}
    biases = [parameter for parameter in vae.parameters() if id(parameter) not in weights]
    groups = [{"params": biases, "lr": learning_rate, "weight_decay": 0.0}]
    for inputs, same in itertools.groupby(layers, key=fan_in):
        rate = learning_rate * min(1.0, FULL_RATE_FAN_IN / inputs)
        groups.append({"params": [layer.weight for layer in same], "lr": rate, "weight_decay": weight_decay})
    return groups


def with_current_rates(state: dict, optimiser: torch.optim.Optimizer) -> dict:
    """An optimiser's saved state with the learning rates and weight decays of ``optimiser``, which may have changed."""

    def group(saved: dict, current: dict) -> dict:
        full, before = current["lr"], saved["initial_lr"]
        rate = saved["lr"] * full / before if before else full
        return saved | {"initial_lr": full, "lr": rate, "weight_decay": current["weight_decay"]}

    return state | {"param_groups": list(map(group, state["param_groups"], optimiser.param_groups))}
