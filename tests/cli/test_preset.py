"""preset=auto: the values of the preset that suits the sounds, and those that the user has set."""

from dataclasses import replace

import pytest

from tests.helpers import compose
from vae2ch.cli import preset


@pytest.mark.parametrize("suitable", ["heavy", "medium", "light"])
def test_auto_becomes_the_preset_that_suits_the_collection(suitable):
    assert preset.resolve(compose("preset=auto"), suitable) == compose(f"preset={suitable}")


def test_what_the_user_has_set_stays():
    made = preset.resolve(compose("preset=auto", "augment.speed=0.25", "minutes=null"), "heavy")
    heavy = compose("preset=heavy", "minutes=null")
    assert made == replace(heavy, augment=replace(heavy.augment, speed=0.25))


def test_a_preset_that_was_chosen_is_kept():
    assert preset.resolve(compose("preset=light"), "heavy") == compose("preset=light")


def test_null_is_the_value_of_a_preset_that_was_chosen():
    assert preset.resolve(compose("preset=light", "augment.speed=null"), "heavy") == compose("preset=light")
