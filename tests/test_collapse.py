from types import SimpleNamespace

import torch

from tests.test_training import module
from vae2ch.callbacks import Collapse

TRAINER = SimpleNamespace(is_global_zero=True)


def test_a_collapse_is_said_once_with_its_cure(capsys):
    alarm, made = Collapse(), module(kl_weight=0.25, free_bits=0.05)
    for _ in range(2):
        made.kl_per_latent = torch.full((4,), made.settings["free_bits"])  # where latents rest that tell nothing
        alarm.on_validation_end(TRAINER, made)
    said = capsys.readouterr().out
    assert said.count("posterior collapse: 0 of 4 latents") == 1
    assert "Lower training.kl_weight (0.25)" in said


def test_no_alarm_while_latents_carry_something(capsys):
    made = module()
    made.kl_per_latent = torch.tensor([0.0, 0.0, 0.0, 0.5])
    Collapse().on_validation_end(TRAINER, made)
    assert capsys.readouterr().out == ""
