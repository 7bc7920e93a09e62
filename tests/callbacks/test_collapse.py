from types import SimpleNamespace

import pytest
import torch

from tests.helpers import compose
from vae2ch.callbacks.collapse import CollapseWarning

FIRST_PROCESS = SimpleNamespace(is_global_zero=True)


def module_with(kl_per_latent):
    """What the callback reads of a ``CodecTraining``."""
    return SimpleNamespace(config=compose("training.kl_weight=0.25").training, kl_per_latent=kl_per_latent)


def test_collapse_is_reported_once_with_the_setting_to_change(capsys):
    callback, module = CollapseWarning(), module_with(torch.zeros(4))
    module.kl_per_latent += module.config.free_bits  # where latents without information stay
    for _ in range(2):
        callback.on_validation_end(FIRST_PROCESS, module)
    output = capsys.readouterr().out
    assert output.count("posterior collapse: only 0 of 4 latents") == 1
    assert "Lower training.kl_weight (0.25)" in output


@pytest.mark.parametrize(("active", "warned"), [(9, True), (10, False)])
def test_a_tenth_of_the_latents_must_be_active(active, warned, capsys):
    kl = torch.zeros(100)
    kl[:active] = 0.5
    CollapseWarning().on_validation_end(FIRST_PROCESS, module_with(kl))
    assert ("posterior collapse" in capsys.readouterr().out) == warned


def test_only_the_first_process_reports(capsys):
    CollapseWarning().on_validation_end(SimpleNamespace(is_global_zero=False), module_with(torch.zeros(4)))
    assert capsys.readouterr().out == ""
