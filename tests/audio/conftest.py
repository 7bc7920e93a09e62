"""What several tests of sound files use."""

import pytest

from tests.audio.sounds import written
from vae2ch import audio


@pytest.fixture
def decoded(tmp_path):
    """Function that returns the samples and the remark of contents."""

    def decode(data):
        wave, _, remark = audio.decode(written(tmp_path / "a.x", data))
        return wave, remark

    return decode
