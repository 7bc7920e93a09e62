import doctest
import math
import os

import pytest
import torch

from tests.helpers import REPRESENTATIONS, SMALL, compose, python, signals, small_codec_config
from vae2ch.codec import CHECKPOINT_FORMAT, SoundCodec, crossfade, find_checkpoint, overlapping_segments, scale_to_peak
from vae2ch.config import CodecConfig, ModelConfig
from vae2ch.errors import InputError
from vae2ch.initial_weights.pca import initialise_from_pca
from vae2ch.latents import INITIAL_PEAK
from vae2ch.metrics import snr

SEGMENT = (SMALL.frames - 1) * SMALL.hop  # 1984 samples
STRIDE = SEGMENT - SEGMENT // 8
LENGTHS = [1, 500, SEGMENT, SEGMENT + 1, 10 * SMALL.sample_rate]


def sound(*shape):
    """Decaying tones of random pitches  [*shape]"""
    time = torch.arange(shape[-1]) / SMALL.sample_rate
    frequency = 200 + 1800 * torch.rand(*shape[:-1], 3, 1)
    tones = torch.sin(2 * math.pi * frequency * time + 1).sum(dim=-2)
    return 0.1 * tones * torch.exp(-0.3 * time)


@pytest.fixture(scope="module")
def codec():
    """A codec as after some training: parameters that fit tones, and the latents of those tones."""
    torch.manual_seed(0)
    made = SoundCodec(small_codec_config()).eval().requires_grad_(False)
    spectrogram, _ = made.representation(sound(40, SEGMENT))
    initialise_from_pca(made.vae, spectrogram[:, 0], 5e-6, spectrogram[0, 0].numel())
    peak = torch.logspace(-2, 0, 40)
    made.latents.update(made.vae.encode(spectrogram), peak)
    return made


def checkpoint_of(codec):
    """Contents of a checkpoint, as training writes them."""
    state = {"codec." + name: value for name, value in codec.state_dict().items()}
    return {"vae2ch": codec.description(), "state_dict": state}


@pytest.fixture
def run(codec, tmp_path):
    """A run's folder with a checkpoint."""
    folder = tmp_path / "outputs" / "RUN"
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(checkpoint_of(codec), folder / "checkpoints" / "best.ckpt")
    return folder


# -- sounds of any length -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "segments"),
    [(1, 1), (SEGMENT, 1), (SEGMENT + 1, 2), (SEGMENT + STRIDE, 2), (SEGMENT + STRIDE + 1, 3), (160_000, 93)],
)
def test_number_of_segments(codec, length, segments):
    latent, level = codec.encode(sound(length), optimise=False)
    assert latent.shape == (segments, 4)
    assert level.shape == (segments,)
    assert codec.decode(latent, level).shape == (SEGMENT + (segments - 1) * STRIDE,)


@pytest.mark.parametrize("length", LENGTHS)
def test_reconstruct_is_decode_of_encode_with_the_same_length(codec, length):
    wave = sound(length)
    made = codec.reconstruct(wave)
    assert made.shape == wave.shape
    assert torch.isfinite(made).all()
    assert made.abs().max() > 0
    assert torch.equal(made, codec.decode(*codec.encode(wave))[:length])


@pytest.mark.parametrize("length", [1, SEGMENT, 3 * SEGMENT])
@pytest.mark.parametrize("batch", [(2,), (2, 3), (1, 1, 2)])
def test_sounds_of_a_batch_agree_with_single_sounds(codec, batch, length):
    waves = sound(*batch, length)
    latent, level = codec.encode(waves)
    estimate, _ = codec.encode(waves, optimise=False)
    made, ceiling = codec.reconstruct(waves), codec.ceiling(waves)
    assert latent.shape == (*level.shape, 4)
    assert made.shape == ceiling.shape == waves.shape
    for index in torch.cartesian_prod(*map(torch.arange, batch)).reshape(-1, len(batch)).tolist():
        place = tuple(index)
        single_latent, single_level = codec.encode(waves[place])
        assert torch.allclose(latent[place], single_latent, atol=0.02)  # twelve evaluations amplify rounding
        assert torch.allclose(estimate[place], codec.encode(waves[place], optimise=False).latent, atol=1e-4)
        assert torch.allclose(level[place], single_level, rtol=1e-5)
        # of the same latents, as the phases amplify their differences even more
        assert snr(codec.decode(latent[place], level[place])[:length], made[place]) > 50
        assert snr(waves[place], ceiling[place]) > 90


def test_level_is_the_amplitude_of_each_segment(codec):
    time = torch.arange(SEGMENT + STRIDE)
    tone = torch.sin(2 * math.pi * 32 / SMALL.n_fft * time)  # at the centre of a bin
    _, level = codec.encode(torch.cat([0.5 * tone[:SEGMENT], 0.1 * tone[SEGMENT:]]), optimise=False)
    assert level.tolist() == pytest.approx([0.5, 0.5], abs=0.01)  # the second overlaps with the first
    _, level = codec.encode(0.1 * tone, optimise=False)
    assert level.tolist() == pytest.approx([0.1, 0.1], abs=0.001)


def test_scaling_a_sound_scales_its_reconstruction(codec):
    wave = sound(2 * SEGMENT)
    assert snr(0.01 * codec.reconstruct(wave), codec.reconstruct(0.01 * wave)) > 40


def test_reconstruction_resembles_the_sound(codec):
    """Of a tone like those that the decoder was fitted to, far better than of noise."""
    level_error = {}
    for name, wave in (("tone", sound(SEGMENT)), ("noise", 0.1 * torch.randn(SEGMENT))):
        original, made = (codec.representation.stft(part[None]).abs() for part in (wave, codec.reconstruct(wave)))
        level_error[name] = float((made - original).norm() / original.norm())
    assert level_error["tone"] < 0.8 * level_error["noise"]


def test_optimised_latents_have_a_lower_loss(codec):
    waves = sound(8, SEGMENT)
    target = codec.representation(waves).spectrogram[:, 0]
    plain, optimised = (codec.encode(waves, optimise=choice).latent[:, 0] for choice in (False, True))
    before, after = (codec.latent_optimiser.loss(codec.spectrogram(z)[:, 0], target, z) for z in (plain, optimised))
    assert (after <= before).all()
    assert after.mean() < 0.99 * before.mean()


def test_autocast_changes_little_and_returns_float32(codec):
    wave = sound(SEGMENT)
    exact = codec.encode(wave)
    codec.autocast_dtype = torch.bfloat16
    try:
        found = codec.encode(wave)
    finally:
        codec.autocast_dtype = None
    assert found.latent.dtype == torch.float32
    assert torch.allclose(found.latent, exact.latent, atol=0.3)


def test_ceiling_is_exact_for_all_signals(codec):
    for name, wave in signals(SMALL.sample_rate).items():
        made = codec.ceiling(wave)
        assert made.shape == wave.shape, name
        assert snr(wave, made) > 90, (name, float(snr(wave, made)))
    assert codec.ceiling(torch.zeros(5000)).eq(0).all()


@pytest.mark.parametrize("option", REPRESENTATIONS)
def test_ceiling_is_exact_for_all_shipped_representations(option):
    representation = compose(f"representation={option}").representation
    config = CodecConfig(representation, ModelConfig(latent_dim=1, dropout=0.0), 5e-3, 5e-6)
    codec = SoundCodec(config)
    wave = 0.1 * torch.randn(2, codec.segment * 2 + 77)
    assert codec.sample_rate == representation.sample_rate
    assert snr(wave, codec.ceiling(wave)).min() > 90


def test_spectrograms_have_no_padding():
    codec = SoundCodec(small_codec_config(n_fft=998, frames=100, hop=240)).eval()
    assert codec.vae.size == (512, 128)
    assert codec.spectrogram(torch.randn(2, 4)).shape == (2, 2, 500, 100)
    wave = sound(codec.segment + 1)
    assert codec.reconstruct(wave).shape == wave.shape


# -- new sounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (500,), (SEGMENT,), (3 * SEGMENT,), (2, SEGMENT)])
def test_a_variation_is_seeded_and_keeps_length_and_peak(codec, shape):
    wave = sound(*shape)
    made = codec.perturb(wave, seed=1)
    assert made.shape == wave.shape
    assert torch.equal(made, codec.perturb(wave, seed=1))
    peak = wave.abs().amax(dim=-1)
    assert torch.allclose(made.abs().amax(dim=-1), peak)
    if shape[-1] > 1:
        assert not any(torch.allclose(made, codec.perturb(wave, seed=seed), atol=1e-3) for seed in (2, 3))


def test_a_variation_scales_with_the_sound(codec):
    wave = sound(SEGMENT)
    assert snr(2 * codec.perturb(wave, seed=1), codec.perturb(2 * wave, seed=1)) > 40
    assert codec.perturb(0 * wave, seed=1).eq(0).all()


def test_a_variation_without_smoothing_is_the_reconstruction(codec):
    wave = sound(SEGMENT)
    made = codec.perturb(wave, seed=1, smoothing=0.0)
    expected = scale_to_peak(codec.decode(*codec.encode(wave, optimise=False)), wave.abs().max())
    assert snr(expected, made) > 50


def test_all_segments_of_a_variation_share_their_direction(codec):
    wave = sound(SEGMENT).repeat(3)[: SEGMENT + STRIDE]
    latent, level = codec.encode(wave, optimise=False)
    noise = torch.randn(1, 4, generator=torch.Generator().manual_seed(5))
    expected = codec.decode(codec.latents.perturb(latent, noise, 0.7), level)
    assert torch.equal(codec.perturb(wave, seed=5, smoothing=0.7), scale_to_peak(expected, wave.abs().max()))


def test_samples_are_seeded_and_differ(codec):
    made = codec.sample(3, seed=1)
    assert made.shape == (3, SEGMENT)
    assert torch.equal(made, codec.sample(3, seed=1))
    assert not torch.allclose(made[0], made[1], atol=1e-3)
    assert not torch.allclose(made, codec.sample(3, seed=2), atol=1e-3)


def test_samples_have_the_peaks_of_training_segments(codec):
    _, peak = codec.latents.sample(20, torch.Generator().manual_seed(0))
    assert torch.allclose(codec.sample(20, seed=0).abs().amax(dim=1), peak, rtol=1e-4)
    assert all((peak.unique()[:, None] - codec.latents.peaks).abs().amin(dim=1) == 0)
    assert peak.max() > 10 * peak.min()


def test_samples_need_no_training():
    made = SoundCodec(small_codec_config()).eval().sample(3, seed=0)
    assert made.shape == (3, SEGMENT)
    assert torch.allclose(made.abs().amax(dim=1), torch.tensor(INITIAL_PEAK), rtol=1e-4)


def test_render_scales_each_segment_to_its_peak(codec):
    peak = torch.tensor([[0.2, 0.9, 0.01], [1.0, 2.0, 0.5]])
    made = codec.render(torch.randn(2, 3, 4), peak)
    assert made.shape == (2, 3, SEGMENT)
    assert torch.allclose(made.abs().amax(dim=-1), peak, rtol=1e-4)


# -- segments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 999, 1000, 1001, 1875, 1876, 20_000])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_a_crossfade_of_overlapping_segments_is_the_waveform(batch, length):
    wave = torch.randn(*batch, length)
    segments = overlapping_segments(wave, 1000)
    assert segments.shape[:-2] == batch
    assert segments.shape[-1] == 1000
    whole = crossfade(segments)
    assert torch.allclose(whole[..., :length], wave, atol=1e-6)
    assert whole[..., length:].eq(0).all()
    assert whole.shape[-1] - length < max(1000 - length, 875) + 1  # no segment that is not needed


def test_cross_fades_are_linear_and_sum_to_one():
    ones = torch.ones(3, 1000)
    assert torch.allclose(crossfade(ones), torch.ones(2750))
    ones[1:] = 0
    fade = crossfade(ones)
    assert fade[:875].eq(1).all()
    assert fade[1000:].eq(0).all()
    assert torch.allclose(fade[875:1000], 1 - torch.arange(1, 126) / 126, atol=1e-6)


def test_scale_to_peak_of_silence_is_silence():
    assert scale_to_peak(torch.zeros(2, 10), torch.tensor([1.0, 0.5])).eq(0).all()
    wave = torch.randn(2, 10)
    assert torch.allclose(scale_to_peak(wave, torch.tensor([1.0, 0.5])).abs().amax(dim=1), torch.tensor([1.0, 0.5]))


# -- checkpoints ----------------------------------------------------------------------------------


def test_a_loaded_codec_is_the_saved_one(codec, run):
    wave = sound(SEGMENT + 1)
    for path in (run, str(run), run / "checkpoints" / "best.ckpt"):
        loaded = SoundCodec.load(path)
        assert loaded.config == codec.config
        assert torch.equal(loaded.reconstruct(wave), codec.reconstruct(wave))
        assert torch.equal(loaded.perturb(wave, seed=3), codec.perturb(wave, seed=3))
        assert torch.equal(loaded.sample(2, seed=0), codec.sample(2, seed=0))


def test_a_loaded_codec_is_ready_for_inference(run):
    loaded = SoundCodec.load(run)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.device == torch.device("cpu")
    assert (loaded.sample_rate, loaded.segment) == (SMALL.sample_rate, SEGMENT)


def test_a_run_is_represented_by_its_best_or_else_its_last_checkpoint(run):
    best = run / "checkpoints" / "best.ckpt"
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(best.read_bytes())
    assert find_checkpoint(run) == best
    best.unlink()
    assert find_checkpoint(run) == last


def test_other_entries_of_a_checkpoint_are_ignored(codec, tmp_path):
    torch.save({**checkpoint_of(codec), "optimizer_states": [], "epoch": 3}, tmp_path / "a.ckpt")
    assert SoundCodec.load(tmp_path / "a.ckpt").config == codec.config


def test_a_description_is_made_of_plain_values(codec):
    def leaves(value):
        return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

    assert codec.description()["format"] == CHECKPOINT_FORMAT
    assert {type(leaf) for leaf in leaves(codec.description())} <= {int, float, str, bool}


def test_a_missing_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        SoundCodec.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no checkpoints/best\.ckpt or last\.ckpt"):
        SoundCodec.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, "a checkpoint, but not of vae2ch"),
        ([1, 2], "a checkpoint, but not of vae2ch"),
        (torch.zeros(3), "a checkpoint, but not of vae2ch"),
        ({"vae2ch": 6, "state_dict": {}}, "checkpoint format 6; this version reads format 7"),
        ({"vae2ch": {"format": 8}, "state_dict": {}}, "checkpoint format 8; this version reads format 7"),
        ({"vae2ch": {}, "state_dict": {}}, "checkpoint format None; this version reads format 7"),
        ({"vae2ch": {"format": torch.zeros(2)}}, r"checkpoint format tensor\(\[0\., 0\.\]\); this version reads"),
        ({"vae2ch": {"format": "\x1b\n" + "8" * 999}}, r"checkpoint format \? 8{158}; this version reads format 7"),
        ({"vae2ch": {"format": 7, "config": {}}}, "has no parameters"),
        ({"vae2ch": {"format": 7, "config": {}}, "state_dict": [1]}, "has no parameters"),
        ({"vae2ch": {"format": 7}, "state_dict": {}}, "does not match its own settings"),
        ({"vae2ch": {"format": 7, "config": None}, "state_dict": {}}, "does not match its own settings"),
    ],
)
def test_contents_that_are_no_codec_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=message):
        SoundCodec.load(tmp_path / "a.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(100)])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.ckpt is not a readable checkpoint"):
        SoundCodec.load(tmp_path / "a.ckpt")


@pytest.mark.parametrize("keep", [10, 0.5, -100])
def test_a_truncated_checkpoint_is_refused(run, keep):
    path = run / "checkpoints" / "best.ckpt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match="is truncated"):
        SoundCodec.load(run)


def set_latent_dim(checkpoint, value):
    checkpoint["vae2ch"]["config"]["model"]["latent_dim"] = value


def change_centre(checkpoint, function):
    checkpoint["state_dict"]["codec.latents.centre"] = function(torch.zeros(4))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda checkpoint: set_latent_dim(checkpoint, 7), "has the size"),
        (lambda checkpoint: set_latent_dim(checkpoint, 0), "model.latent_dim=0 is out of range"),
        (lambda checkpoint: set_latent_dim(checkpoint, 10**9), "model.latent_dim=1000000000 is out of range"),
        (lambda checkpoint: set_latent_dim(checkpoint, "4"), "model.latent_dim=4: expected int"),
        (lambda checkpoint: set_latent_dim(checkpoint, True), "model.latent_dim=True: expected int"),
        (lambda checkpoint: checkpoint["vae2ch"]["config"]["model"].pop("dropout"), "model.dropout is not set"),
        (
            lambda checkpoint: checkpoint["vae2ch"]["config"]["model"].update(droupout=0.1),
            "unknown setting model.droupout; did you mean dropout",
        ),
        (lambda checkpoint: checkpoint["vae2ch"]["config"].update(model=3), "model=3: "),
        (lambda checkpoint: checkpoint["vae2ch"]["config"]["representation"].update(n_fft=255), "must be even"),
        (lambda checkpoint: checkpoint["vae2ch"]["config"]["representation"].update(frames=64), "has the size"),
        (lambda checkpoint: checkpoint["vae2ch"]["config"].update(kl_weight=math.nan), "kl_weight=nan is out of range"),
        (lambda checkpoint: checkpoint["state_dict"].pop("codec.vae.encoder.latent.bias"), "encoder.latent.bias"),
        (lambda checkpoint: checkpoint["state_dict"].update({"codec.extra": torch.ones(1)}), "loading state_dict"),
        (lambda checkpoint: checkpoint["state_dict"].update({3: torch.ones(1)}), "'int' object"),
        (lambda checkpoint: change_centre(checkpoint, torch.Tensor.half), "latents.centre has the type torch.float16"),
        (lambda checkpoint: change_centre(checkpoint, torch.Tensor.cfloat), "latents.centre has the type"),
        (lambda checkpoint: change_centre(checkpoint, torch.Tensor.log), "latents.centre is not finite"),
    ],
)
def test_settings_and_parameters_that_do_not_match_are_refused(run, change, reason):
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match=rf"does not match its own settings \(.*({reason})"):
        SoundCodec.load(run)


def test_a_parameter_that_is_no_tensor_is_refused(run):
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["codec.latents.means"] = 3
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match="has no parameters"):
        SoundCodec.load(run)


class Constructed:
    """A value that a pickle constructs by a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Constructed(bytearray, 2**33), "bytearray"),  # 8 GB of zeros, which torch would allow
        (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor"),
        (torch.eye(3).to("meta"), "_rebuild_meta_tensor"),
    ],
)
def test_what_may_take_more_memory_than_its_file_has_bytes_is_not_constructed(codec, tmp_path, value, name):
    torch.save({**checkpoint_of(codec), "other": value}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=f"is truncated.*would construct .*{name}"):
        SoundCodec.load(tmp_path / "a.ckpt")


def test_an_archive_behind_other_bytes_is_refused(run):
    """Python finds the archive, but torch would read what comes before it."""
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(b"\x80\x02}." + path.read_bytes())
    with pytest.raises(InputError, match="does not begin as an archive"):
        SoundCodec.load(path)


def test_a_damaged_name_in_an_archive_is_printed_in_one_line(run):
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes().replace(b"best/data/1", b"best/\x1b\nta/1"))
    with pytest.raises(InputError) as caught:
        SoundCodec.load(path)
    assert str(caught.value).isprintable()


def test_nothing_in_a_checkpoint_is_executed(codec, tmp_path):
    target = tmp_path / "executed"

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(target),))

    path = tmp_path / "trap.ckpt"
    torch.save({**checkpoint_of(codec), "trap": Trap()}, path)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        SoundCodec.load(path)
    assert not target.exists()
    torch.load(path, weights_only=False)  # the same file, read without this protection
    assert target.exists()


# -- use from a script ----------------------------------------------------------------------------

FOREIGN = ("lightning", "hydra", "omegaconf", "tensorboard", "vae2ch.data", "vae2ch.training", "vae2ch.cli")


def run_python(*arguments, cwd):
    done = python(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def foreign(names):
    return sorted(name for name in names if name.startswith(FOREIGN))


@pytest.mark.slow
def test_importing_the_codec_imports_neither_lightning_nor_hydra_nor_the_data(tmp_path):
    done = run_python("-X", "importtime", "-c", "from vae2ch import SoundCodec", cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"vae2ch.codec", "torch"} <= imported
    assert foreign(imported) == []


@pytest.mark.slow
def test_a_loaded_codec_needs_neither_lightning_nor_hydra_nor_the_data(run):
    program = (
        "import sys, torch; from vae2ch import SoundCodec; codec = SoundCodec.load('outputs/RUN');"
        "codec.reconstruct(0.1 * torch.randn(3000)); codec.sample(1, seed=0); print(*sys.modules)"
    )
    done = run_python("-W", "error", "-c", program, cwd=run.parent.parent)
    assert "vae2ch.codec" in done.stdout.split()
    assert foreign(done.stdout.split()) == []


def test_importing_the_package_does_not_import_torch(tmp_path):
    done = run_python("-c", "import sys, vae2ch; print('torch' in sys.modules)", cwd=tmp_path)
    assert done.stdout.split() == ["False"]


def test_the_example_in_the_docstring_runs(run, monkeypatch):
    monkeypatch.chdir(run.parent.parent)
    wave = sound(5000)
    scope = {"SoundCodec": SoundCodec, "wave": wave}
    example = doctest.DocTestParser().get_doctest(SoundCodec.__doc__, scope, "SoundCodec", None, 0)
    assert len(example.examples) >= 5
    runner = doctest.DocTestRunner()
    result = runner.run(example, clear_globs=False)
    assert result.failed == 0
    assert result.attempted == len(example.examples)
    found = example.globs
    assert found["codec"].sample_rate == SMALL.sample_rate
    assert found["latent"].shape == (*found["level"].shape, 4)
    assert found["made"].shape == found["other"].shape == (len(found["wave"]),)
    assert found["new"].shape == (8, SEGMENT)
