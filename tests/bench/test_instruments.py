import pytest

from vae2ch.errors import InputError

pytest.importorskip("mido")
from vae2ch.bench.instruments import APART, PITCHES, VELOCITIES, choose, midi_file


def test_sets_with_other_programs_share_none():
    first, other = choose(0, 12, 378, seed=1), choose(12, 12, 378, seed=2)
    assert len(set(first)) == len(set(other)) == 378
    assert not {program for program, _, _ in first} & {program for program, _, _ in other}
    assert {pitch for _, pitch, _ in first} == set(PITCHES)
    assert {velocity for _, _, velocity in first} == set(VELOCITIES)
    assert first == choose(0, 12, 378, seed=1)


@pytest.mark.parametrize("arguments", [(90, 12, 5), (0, 1, 148)])
def test_more_programs_or_notes_than_there_are_is_refused(arguments):
    with pytest.raises(InputError, match="there are 95 programs"):
        choose(*arguments, seed=0)


def test_notes_begin_where_they_are_cut():
    onsets, clock = [], 0.0
    for message in midi_file(choose(0, 2, 5, seed=0)):  # mido converts the times to seconds
        clock += message.time
        if message.type == "note_on":
            onsets.append(round(clock, 3))
    assert onsets == [number * APART for number in range(5)]
