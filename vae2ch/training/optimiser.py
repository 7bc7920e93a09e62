"""The optimiser, and learning rates of each layer."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vae2ch.config import TrainingConfig, given
from vae2ch.model import VAE

INITIAL = "initial_weights"  # their key in a group of parameters
FULL_RATE_FAN_IN = 256  # inputs per output up to which a layer has the full learning rate
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class DecayToStart(torch.optim.Adam):
    """Adam (Kingma and Ba 2015) with a weight decay that leads back to the initial weights, and not to zero.

    They are the solution for the whole collection, or for all sounds; training should change only what it must (L2-SP:
    Li et al. 2018, "Explicit inductive bias for transfer learning with convolutional networks"). As in AdamW, it does
    not pass through the moments. A step moves a weight by the fraction learning rate x ``decay`` of its
    distance to the initial one.
    """

    def __init__(self, groups: list[dict], **options: Any) -> None:
        super().__init__(groups, **options)
        for group in self.param_groups:
            group[INITIAL] = [weight.detach().clone() for weight in group["params"]]  # saved with the group

    def step(self, closure: Callable | None = None) -> Any:
        """A step of Adam, and one towards the initial weights; weights without a gradient stay."""
        loss = super().step(closure)
        for group in self.param_groups:
            pairs = zip(group["params"], group[INITIAL], strict=True)
            moved = [(weight.data, initial) for weight, initial in pairs if weight.grad is not None]
            if moved and group["decay"]:
                torch._foreach_lerp_(*map(list, zip(*moved, strict=True)), group["lr"] * group["decay"])
        return loss

    def load_state_dict(self, state: dict) -> None:
        """Load a state; if it holds no initial weights, the current ones become these."""
        super().load_state_dict(state)
        for group in self.param_groups:  # whose values stay on the device that they were saved from
            weights = group["params"]
            pairs = zip(group.get(INITIAL, weights), weights, strict=True)
            group[INITIAL] = [kept.detach().to(weight, copy=True) for kept, weight in pairs]


def build_optimiser(vae: VAE, config: TrainingConfig) -> DecayToStart:
    """The optimiser of a VAE that has its initial weights."""
    return DecayToStart(parameter_groups(vae, config), betas=(0.9, 0.99), fused=True)


def fan_in(layer: nn.Module) -> int:
    """Number of inputs that one output of a layer depends on."""
    if isinstance(layer, nn.ConvTranspose2d):  # an output depends on one in stride x stride weights
        return layer.weight[:, 0].numel() // math.prod(layer.stride)
    return layer.weight[0].numel()


def parameter_groups(vae: VAE, config: TrainingConfig) -> list[dict]:
    """Parameters with their learning rate and decay, for an optimiser. Biases are not decayed.

    A step of Adam changes all weights by about the same amount, so the output of a layer changes with the number of
    its inputs: above ``FULL_RATE_FAN_IN`` the learning rate is inversely proportional to it (Yang et al. 2022, "Tensor
    programs V"). Otherwise the 32,768 inputs of the latents would undo the initialisation within a few steps. The
    decay is the same for all layers, whatever their learning rate.
    """
    full, decay = config.learning_rate, given(config.weight_decay)
    layers = sorted((layer for layer in vae.modules() if isinstance(layer, LAYERS)), key=fan_in)
    weights = {id(layer.weight) for layer in layers}
    biases = [parameter for parameter in vae.parameters() if id(parameter) not in weights]
    groups = [{"params": biases, "lr": full, "decay": 0.0}]
    for inputs, same in itertools.groupby(layers, key=fan_in):
        share = min(1.0, FULL_RATE_FAN_IN / inputs)
        groups.append({"params": [layer.weight for layer in same], "lr": full * share, "decay": decay / share})
    return groups


def with_current_rates(state: dict, groups: list[dict]) -> dict:
    """An optimiser's saved state with the learning rates and decays of ``groups``, which may have changed."""

    def group(saved: dict, current: dict) -> dict:
        full, before = current["lr"], saved["initial_lr"]
        rate = saved["lr"] * full / before if before else full
        return saved | {"initial_lr": full, "lr": rate, "decay": current["decay"], "weight_decay": 0.0}

    return state | {"param_groups": list(map(group, state["param_groups"], groups))}
