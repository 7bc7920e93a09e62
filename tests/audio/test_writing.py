import numpy as np
import pytest
import soundfile

from tests.audio.sounds import RATE, tone
from vae2ch import audio
from vae2ch.errors import InputError


def test_a_written_file_holds_the_samples_and_no_timestamp(tmp_path):
    """Equal samples make equal bytes: those of libsndfile, without the time in its PEAK chunk."""
    audio.write(tmp_path / "a.wav", tone(), RATE)
    soundfile.write(tmp_path / "plain.wav", tone(), RATE, subtype="FLOAT")
    plain = (tmp_path / "plain.wav").read_bytes()
    where = plain.index(b"PEAK") + 12
    assert plain[where : where + 4] != bytes(4)
    assert (tmp_path / "a.wav").read_bytes() == plain[:where] + bytes(4) + plain[where + 4 :]
    assert np.array_equal(audio.decode(tmp_path / "a.wav")[0], tone())


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_24"])
def test_a_result_is_marked_and_has_the_same_samples(tmp_path, subtype):
    audio.write(tmp_path / "sound.wav", tone(), RATE, subtype)
    audio.write(tmp_path / "new folder" / "result.wav", tone(), RATE, subtype, result=True)
    sound, result = (audio.open_recording(tmp_path / name) for name in ("sound.wav", "new folder/result.wav"))
    assert (sound.is_result, result.is_result) == (False, True)
    assert (sound.remark, result.remark) == ("", "")
    assert np.array_equal(np.concatenate(list(sound.blocks())), np.concatenate(list(result.blocks())))


def test_writing_replaces_a_file_and_leaves_nothing_behind_if_it_fails(tmp_path):
    path = tmp_path / "a.wav"
    audio.write(path, tone(), RATE)
    audio.write(path, 3 * tone(), RATE)
    assert np.array_equal(audio.decode(path)[0], 3 * tone())
    with pytest.raises(InputError, match="cannot write"):
        audio.write(path / "below.wav", tone(), RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        audio.write(tmp_path / "folder.wav", tone(), RATE)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.wav", "folder.wav"]
    assert np.array_equal(audio.decode(path)[0], 3 * tone())
