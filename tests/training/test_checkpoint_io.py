import lzma
import math
import zipfile

import pytest
import torch

from tests.helpers import ROOT, small_codec_config
from vae2ch.codec import SoundCodec
from vae2ch.errors import InputError
from vae2ch.training.checkpoint_io import (
    DurableCheckpointIO,
    newest_checkpoint,
    read_training_state,
)

FORMATS = sorted((ROOT / "tests" / "checkpoints").glob("*.ckpt.xz"))


@pytest.fixture(scope="module")
def codec():
    return SoundCodec(small_codec_config(n_fft=64, hop=16))


def checkpoint_at(codec, step):
    """What Lightning saves after some steps."""
    moments = {
        number: {"step": torch.tensor(float(step)), "exp_avg": torch.zeros_like(weight), "exp_avg_sq": weight.detach()}
        for number, weight in enumerate(codec.vae.parameters())
    }
    initial = [weight.detach() for weight in codec.vae.parameters()]
    return {
        "state_dict": {f"codec.{name}": value for name, value in codec.state_dict().items()},
        "vae2ch": codec.description(),
        "global_step": step,
        "optimizer_states": [{"state": moments, "param_groups": [{"initial_weights": initial}]}],
        "lr_schedulers": [{"last_epoch": step}],
        "callbacks": {"Checkpoints": {"finished": False}},
        "loops": {"fit_loop": {}},
        "schedule": {"beginning": {"step": 0, "seconds": 0.0}, "now": {"step": step, "seconds": 1.0}},
    }


@pytest.fixture
def folder(codec, tmp_path):
    """The checkpoints of two saves."""
    files = DurableCheckpointIO()
    for step in (10, 20):
        files.save_checkpoint(checkpoint_at(codec, step), tmp_path / "last.ckpt")
    return tmp_path


def test_the_last_checkpoint_and_the_one_before_are_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["last.ckpt", "previous.ckpt"]
    path, checkpoint, problems = newest_checkpoint(folder)
    assert (path.name, checkpoint["global_step"], problems) == ("last.ckpt", 20, [])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_a_bit, "checksum"),
        (lambda path: path.write_bytes(path.read_bytes()[:100_000]), "not a readable checkpoint, or is truncated"),
        (lambda path: path.write_bytes(b""), "not a readable checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_skipped_with_the_reason(damage, reason, folder):
    damage(folder / "last.ckpt")
    path, checkpoint, problems = newest_checkpoint(folder)
    assert (path.name, checkpoint["global_step"]) == ("previous.ckpt", 10)
    (problem,) = problems
    assert "last.ckpt" in problem
    assert reason in problem


def test_a_save_that_was_killed_between_its_renames_is_found(folder):
    (folder / "last.ckpt").unlink()
    (folder / "last.ckpt.part").write_bytes(b"half")
    assert newest_checkpoint(folder)[0].name == "previous.ckpt"


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(tmp_path):
    with pytest.raises(InputError, match=r"no checkpoint to go on from \(there is no last\.ckpt\)"):
        newest_checkpoint(tmp_path)


def without_optimiser(checkpoint):
    del checkpoint["optimizer_states"]


def tensor_of_loops(checkpoint):
    checkpoint["loops"] = torch.zeros(2)


def other_moments(checkpoint):
    checkpoint["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(3)


def text_for_moments(checkpoint):
    checkpoint["optimizer_states"][0]["state"][0]["exp_avg"] = "text"


def missing_moment(checkpoint):
    del checkpoint["optimizer_states"][0]["state"][0]["exp_avg"]


def other_initial_weights(checkpoint):
    checkpoint["optimizer_states"][0]["param_groups"][0]["initial_weights"] = [torch.zeros(3)]


def text_for_initial_weights(checkpoint):
    checkpoint["optimizer_states"][0]["param_groups"][0]["initial_weights"] = ["text"]


def missing_moments(checkpoint):
    checkpoint["optimizer_states"][0]["state"].popitem()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_optimiser, "no state of a training; start="),
        (tensor_of_loops, "no state of a training; start="),
        (other_moments, "damaged optimiser state"),
        (text_for_moments, "damaged optimiser state"),
        (missing_moments, "damaged optimiser state"),
        (other_initial_weights, "damaged optimiser state"),
        (text_for_initial_weights, "damaged optimiser state"),
        (missing_moment, r"damaged optimiser state \(exp_avg is missing\)"),
    ],
)
def test_a_state_from_which_training_cannot_go_on_is_refused(change, reason, codec, tmp_path):
    checkpoint = checkpoint_at(codec, 5)
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=reason):
        read_training_state(tmp_path / "a.ckpt")


def test_a_small_file_that_claims_a_large_model_is_refused(codec, tmp_path):
    """Its tensors repeat one number; building the model would take 34 GB."""
    checkpoint = checkpoint_at(codec, 5)
    dim = 60_000
    checkpoint["vae2ch"]["config"]["model"]["latent_dim"] = dim
    one = torch.zeros(1)
    shapes = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
    grown = {4: dim, 8: 2 * dim}
    checkpoint["state_dict"] = {
        name: one.expand([grown.get(size, size) for size in shape]) if shape else torch.tensor(0)
        for name, shape in shapes.items()
    }
    checkpoint["optimizer_states"] = [{"state": {}}]
    torch.save(checkpoint, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").stat().st_size < 100_000
    for read in (SoundCodec.load, read_training_state):
        with pytest.raises(InputError, match="claims more parameters than it holds"):
            read(tmp_path / "a.ckpt")


def test_a_compressed_file_is_refused(folder):
    """It could be of any size once it is read."""
    path = folder / "last.ckpt"
    with zipfile.ZipFile(path) as parts:
        contents = {part.filename: parts.read(part) for part in parts.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, content in contents.items():
            parts.writestr(name, content)
    with pytest.raises(InputError, match="its parts are compressed"):
        SoundCodec.load(path)


@pytest.mark.parametrize("latent_dim", [10**9, 60_000])
def test_settings_that_claim_a_large_model_are_refused(latent_dim, codec, tmp_path):
    checkpoint = checkpoint_at(codec, 5)
    checkpoint["vae2ch"]["config"]["model"]["latent_dim"] = latent_dim
    torch.save(checkpoint, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="does not match its own settings"):
        SoundCodec.load(tmp_path / "a.ckpt")


def test_a_full_disk_is_reported_and_the_checkpoints_are_kept(folder, codec, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    files = DurableCheckpointIO()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        files.save_checkpoint(checkpoint_at(codec, 30), folder / "last.ckpt")
    message = capsys.readouterr().err
    assert files.failed
    assert f"cannot save {folder}/last.ckpt (" in message
    for part in (" MB): No space left on device, ", " MB are free; training goes on"):
        assert part in message
    assert sorted(path.name for path in folder.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert newest_checkpoint(folder)[1]["global_step"] == 20
    files.save_checkpoint(checkpoint_at(codec, 30), folder / "last.ckpt")
    assert not files.failed
    assert newest_checkpoint(folder)[1]["global_step"] == 30


@pytest.mark.parametrize("path", FORMATS, ids=lambda path: path.name)
def test_a_checkpoint_of_each_format_loads(path, tmp_path):
    """A file of every format that this and later versions write, with weights that repeat so that it is small."""
    file = tmp_path / "a.ckpt"
    file.write_bytes(lzma.decompress(path.read_bytes()))
    codec = SoundCodec.load(file)
    assert codec.vae.latent_dim == 3
    wave = codec.reconstruct(torch.sin(torch.arange(2000) / 5))
    assert wave.shape == (2000,)
    assert math.isfinite(float(wave.abs().sum()))
    assert read_training_state(file)["global_step"] == 2


def test_the_present_format_has_a_file():
    assert [path.name for path in FORMATS] == ["format7.ckpt.xz"]
