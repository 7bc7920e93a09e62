"""Several events in one sound: chords, arpeggios, trills, loops of hits, layers."""

from collections.abc import Callable, Mapping

import numpy as np

from vae2ch.data.world.curves import RATE, Event, add_at, normalised

Family = Callable[[Event], np.ndarray]
CHORDS = (
    (0, 12),
    (0, 7),
    (0, 4, 7),
    (0, 3, 7),
    (0, 5, 7),
    (0, 4, 7, 11),
    (0, 3, 7, 10),
    (0, 3, 6),
    (0, 7, 16),
    (0, 4, 8),
)
SCALES = ((0, 2, 4, 7, 9), (0, 3, 5, 7, 10), (0, 2, 4, 5, 7, 9, 11), (0, 4, 7, 12), (0, 3, 7, 12), (0, 1, 2, 3))


class Patterns:
    """Families of sounds that are made of those of others: ``pitched``, ``struck`` by name, and ``all``."""

    def __init__(
        self, pitched: Mapping[str, Family], struck: Mapping[str, Family], others: Mapping[str, Family]
    ) -> None:
        self.pitched, self.struck = list(pitched.values()), list(struck.values())
        self.all = [*self.pitched, *self.struck, *others.values()]

    def pick(self, event: Event, families: list[Family]) -> Family:
        return families[int(event.random.integers(len(families)))]

    def note(self, event: Event, family: Family, pitch: float, timbre: int) -> np.ndarray:
        """A note; notes of one ``timbre`` are of one instrument  [S]"""
        return normalised(family(event.but(pitch=pitch, random=np.random.default_rng(timbre))))

    def chord(self, event: Event) -> np.ndarray:
        """Two to four notes of an instrument, at times strummed."""
        family, timbre = self.pick(event, self.pitched), int(event.random.integers(2**31))
        intervals = CHORDS[int(event.random.integers(len(CHORDS)))]
        strum = event.draw_log(0.005, 0.12) if event.chance(0.4) else 0.0
        root = min(event.pitch, 1200)
        wave = np.zeros(event.samples, np.float32)
        for number, interval in enumerate(intervals):
            start = int(number * strum * RATE)
            rest = event.but(samples=max(event.samples - start, 64))
            note = self.note(rest, family, root * 2 ** (interval / 12 + event.draw(-0.005, 0.005)), timbre)
            add_at(wave, note, start, event.draw(0.5, 1))
        return wave

    def arpeggio(self, event: Event) -> np.ndarray:
        """Notes of a scale or a chord in a row: sequences, runs; two of them are a trill."""
        family, timbre = self.pick(event, self.pitched), int(event.random.integers(2**31))
        step = event.draw_log(0.06, 0.5)
        scale = SCALES[int(event.random.integers(len(SCALES)))][: 2 if event.chance(0.2) else 7]
        ring = step * event.draw_log(0.4, 3)
        wave = np.zeros(event.samples, np.float32)
        short = event.but(length=ring).shortened(1.3 * ring + 0.1)
        root = min(event.pitch, 1500)
        pool = {interval: self.note(short, family, root * 2 ** (interval / 12), timbre) for interval in scale}
        order = list(scale) if event.chance(0.5) else list(event.random.permutation(scale))
        for number in range(min(24, int(min(event.samples / RATE, max(event.length, step)) / step) + 1)):
            add_at(wave, pool[order[number % len(order)]], int(number * step * RATE), event.draw(0.5, 1))
        return wave

    def loop(self, event: Event) -> np.ndarray:
        """Two to four percussive sounds in a rhythm, at times with a held one beneath."""
        step = event.draw_log(0.07, 0.25)
        wave = np.zeros(event.samples, np.float32)
        steps = int(event.samples / RATE / step) + 1
        for number in range(int(event.random.integers(2, 5))):
            family = self.pick(event, self.struck)
            hit = event.but(length=event.draw_log(0.05, 0.5), pitch=event.draw_log(60, 2000)).shortened(0.5)
            sound, density = normalised(family(hit)), event.draw_log(0.1, 0.9)
            played = event.random.random(8) < density
            played[0] |= number == 0
            swing, gain = event.draw(0, 0.15) * step, event.draw_log(0.2, 1)
            for place in range(steps):
                if played[place % 8]:
                    add_at(wave, sound, int((place * step + swing * (place % 2)) * RATE), gain * event.draw(0.6, 1))
        if event.chance(0.3):
            wave += np.float32(event.draw(0.1, 0.7)) * normalised(self.pick(event, self.pitched)(event))
        return wave

    def layers(self, event: Event) -> np.ndarray:
        """Two or three sounds of any kind, that begin together or one after the other."""
        wave = np.zeros(event.samples, np.float32)
        for number in range(int(event.random.integers(2, 4))):
            start = int(event.draw_log(0.01, 1.2) * RATE) if number and event.chance(0.5) else 0
            rest = event.but(samples=max(event.samples - start, 64), length=event.length * event.draw_log(0.3, 2))
            ratio = float(event.random.choice([0.5, 1, 1.5, 2, 3, event.draw_log(0.3, 4)]))
            part = self.pick(event, self.all)(rest.but(pitch=float(np.clip(event.pitch * ratio, 25, 5000))))
            add_at(wave, normalised(part), start, event.draw_log(0.1, 1))
        return wave
