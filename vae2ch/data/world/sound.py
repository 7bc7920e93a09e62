"""Sound number n of the world of a seed: its family, pitch, length and onset, and its samples."""

from dataclasses import dataclass

import numpy as np

from vae2ch.data.world import bodies, drums, strings, textures, tones, voices, winds
from vae2ch.data.world.curves import RATE, Event, add_at, fade_in, normalised
from vae2ch.data.world.patterns import Family, Patterns
from vae2ch.data.world.rooms import recorded

SECONDS = 2.1  # a segment of 2.03 s, and a little; one that is sped up further ends in zeros
SAMPLES = round(SECONDS * RATE)
LENGTHS = ((0.02, 0.4), (0.3, 2.2), (2.0, 12.0))  # seconds: hits, notes, sounds that go on
HIT_LENGTHS, NOTE_LENGTHS, OTHER_LENGTHS = (0.35, 0.5, 0.15), (0.12, 0.53, 0.35), (0.18, 0.45, 0.37)  # shares of these
LOWEST, HIGHEST = 25.0, 5000.0  # Hz


def by_name(*functions: Family) -> dict[str, Family]:
    """Families by the names of their functions."""
    return {function.__name__: function for function in functions}


PITCHED = by_name(
    tones.additive, tones.stretched, tones.drawbars, tones.unison, tones.subtractive, tones.frequency_modulation,
    strings.plucked, strings.struck, strings.bowed, winds.flute, winds.reed, winds.brass, bodies.bar, bodies.bell,
)  # fmt: skip
STRUCK = by_name(
    drums.kick, drums.membrane, drums.snare, drums.metal, drums.square_metal, drums.clap, drums.click, drums.shaker,
    drums.zap, bodies.wood, bodies.debris,
)  # fmt: skip
OTHERS = by_name(
    bodies.plate, bodies.glass, voices.singing, voices.speech, voices.call, textures.hiss, textures.sweep,
    textures.wind, textures.rain, textures.bubbles, textures.hum, textures.grains, textures.chirp, textures.rumble,
)  # fmt: skip
PATTERNS = Patterns(PITCHED, STRUCK, OTHERS)
FAMILIES = PITCHED | STRUCK | OTHERS | by_name(PATTERNS.chord, PATTERNS.arpeggio, PATTERNS.loop, PATTERNS.layers)
# relative frequency of families that are not drawn once
FREQUENCY = {"plucked": 2.5, "struck": 2.5, "bowed": 1.8, "additive": 1.8, "kick": 2.0, "metal": 2.0, "membrane": 1.6}
FREQUENCY |= {
    "speech": 2.5,
    "loop": 2.0,
    "layers": 2.0,
    "chord": 1.2,
    "snare": 1.8,
    "hiss": 1.5,
    "bubbles": 0.6,
    "grains": 0.8,
}


@dataclass(frozen=True)
class Description:
    """Parameters that are drawn before those of the family."""

    family: str
    pitch: float  # Hz
    length: float  # seconds
    onset: float  # seconds; negative if the sound had begun before
    backwards: bool


def describe(random: np.random.Generator, family: str | None = None) -> Description:
    """Draw a sound, of a family if one is given."""
    weights = np.array([FREQUENCY.get(name, 1.0) for name in FAMILIES])
    drawn = str(random.choice(list(FAMILIES), p=weights / weights.sum()))
    low, high = (80.0, 1200.0) if random.random() < 0.7 else (LOWEST, HIGHEST)
    pitch = float(np.exp(random.uniform(np.log(low), np.log(high))))
    name = family or drawn
    shares = HIT_LENGTHS if name in STRUCK else NOTE_LENGTHS if name in PITCHED else OTHER_LENGTHS
    low, high = LENGTHS[int(random.choice(len(LENGTHS), p=shares))]
    length = float(np.exp(random.uniform(np.log(low), np.log(high))))
    place = random.random()
    onset = float(random.exponential(0.015)) if place < 0.75 else float(random.uniform(0, 1.6))
    if place > 0.88:
        onset = -float(random.uniform(0.02, 0.9)) * min(length, 1.5)
    return Description(name, pitch, length, onset, bool(random.random() < 0.04))


def generator(seed: int, number: int) -> np.random.Generator:
    """Random numbers of a sound."""
    return np.random.default_rng([seed, number])


def render(seed: int, number: int, family: str | None = None) -> np.ndarray:
    """Sound ``number`` of the world of a seed, or its counterpart of a family: float32, peak below 1  [S]"""
    random = generator(seed, number)
    drawn = describe(random, family)
    offset = round(drawn.onset * RATE)
    event = Event(random, SAMPLES - offset, drawn.pitch, drawn.length, float(random.random() ** 0.8))
    source = normalised(FAMILIES[drawn.family](event))
    wave = np.zeros(SAMPLES, np.float32)
    if offset < 0 and np.abs(source[-offset:]).max(initial=0) > 1e-3:  # else it would be over before the segment
        source = fade_in(source[-offset:].copy(), 0.002)
    add_at(wave, source, max(offset, 0))
    if drawn.backwards:
        wave = wave[::-1].copy()
    return recorded(event.but(samples=SAMPLES), wave, seed)
