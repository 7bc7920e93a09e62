import json

import numpy as np
import pytest
import torch

from vae2ch import audio, hardware
from vae2ch.audio import Sound
from vae2ch.data import SoundDataModule, collection
from vae2ch.data.dataset import Draw, EpochSampler, SoundDataset, Variations, cut, spread
from vae2ch.refusal import Refusal

REPRESENTATION = {"sample_rate": 16000, "n_fft": 254, "hop": 64, "frames": 30, "gain": 1e4}
AUGMENT = {"speed": 0.06, "shift": 0.05, "gain_db": 6.0, "polarity": True}
DATA = {
    "source": "folder",
    "validation": 0.1,
    "test": 0.1,
    "cache": None,
    "limit": None,
    "train_segments": None,
    "batch_size": 4,
    "epoch_segments": 20,
    "workers": 0,
}


def sounds(count, copies=0):
    found = [Sound(None, f"{n}.wav", np.full(3000, n + 1.0, np.float32), f"digest {n}") for n in range(count)]
    return found + [Sound(None, f"copy {n}.wav", found[n].wave, found[n].digest) for n in range(copies)]


def datamodule(root, **changes):
    return SoundDataModule(
        data={**DATA, "root": str(root), **changes}, augment=AUGMENT, representation=REPRESENTATION, seed=0
    )


def noise(samples, silent=()):
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    for start, stop in silent:
        wave[start:stop] = 0
    return wave


@pytest.mark.parametrize("count", [3, 5, 20, 101])
@pytest.mark.parametrize("seed", [0, 1])
def test_splits_never_share_a_recording(count, seed):
    splits = collection.split_by_source(sounds(count, copies=count), validation=0.1, test=0.1, seed=seed)
    digests = [{sound.digest for sound in split} for split in splits.values()]
    assert sum(map(len, digests)) == len(set.union(*digests)) == count
    assert sum(map(len, splits.values())) == 2 * count
    assert all(splits.values())
    assert len(digests[1]) == len(digests[2]) == max(1, round(0.1 * count))


def test_splits_depend_on_seed_and_content_alone():
    def names(found, seed):
        splits = collection.split_by_source(found, validation=0.2, test=0.2, seed=seed)
        return {name: {sound.digest for sound in split} for name, split in splits.items()}

    assert names(sounds(30), 0) == names(sounds(30)[::-1], 0)
    assert names(sounds(30), 0) != names(sounds(30), 1)


def test_a_split_does_not_depend_on_the_others_size():
    def members(name, **shares):
        found = collection.split_by_source(sounds(40), **{"validation": 0.1, "test": 0.1, **shares}, seed=0)
        return {sound.digest for sound in found[name]}

    assert members("test") == members("test", validation=0.4)
    assert members("validation") == members("validation", test=0.4)


def test_too_few_recordings():
    with pytest.raises(Refusal, match=r"found 2 different"):
        collection.split_by_source(sounds(2, copies=2), validation=0.1, test=0.1, seed=0)
    with pytest.raises(Refusal, match="lower them"):
        collection.split_by_source(sounds(5), validation=0.6, test=0.6, seed=0)


def test_cut_covers_sound_and_skips_silence():
    assert cut(noise(500), 1000) == [0]
    assert cut(noise(1000), 1000) == [0]
    assert cut(noise(2500), 1000) == [0, 1000, 1500]  # the last is flush with the end
    assert cut(noise(2040), 1000) == [0, 1000]  # a rest of 4 % is left out
    starts = cut(noise(20480, silent=[(0, 5120), (7680, 15360)]), 1024)
    assert starts[0] == 5120
    covered = np.zeros(20480, bool)
    for start in starts:
        covered[start : start + 1024] = True
    assert covered[5120:7680].all()
    assert covered[15360:].all()
    assert not covered[:5120].any()
    assert not covered[9000:15000].any()


def test_short_sounds_are_padded_with_silence():
    wave = noise(700)
    item = SoundDataset([Sound(None, "a", wave, "d")], 1000)[0]
    assert item.wave.shape == (1000,)
    assert item.samples == 700
    assert np.array_equal(item.wave[:700], wave)
    assert item.wave[700:].eq(0).all()


def test_a_shift_reads_what_came_before():
    wave = noise(2000)
    dataset = SoundDataset([Sound(None, "a", wave, "d")], 1000)
    assert np.array_equal(dataset.excerpt(1, 100).wave, wave[900:1900])
    early = dataset.excerpt(0, 100)
    assert early.wave[:100].eq(0).all()
    assert np.array_equal(early.wave[100:], wave[:900])


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_a_shifted_sound_goes_on_to_the_end_at_any_speed(speed):
    wave = np.ones(3000, np.float32)
    item = SoundDataset([Sound(None, "a", wave, "d")], 1000).excerpt(0, shift=100, speed=speed)
    assert item.samples == 1000
    assert item.wave[:100].eq(0).all()
    assert torch.allclose(item.wave[150:950], torch.ones(800), atol=0.05)


def test_variations_are_counted_and_bounded():
    dataset = SoundDataset([Sound(None, "a", noise(1000), "d")], 1000)
    varied = Variations(dataset, speed=0.0, shift=0.01, gain_db=6.0, polarity=True, seed=3, sample_rate=16000)
    drawn = [varied[Draw(0, position, 0)] for position in range(50)]
    assert torch.equal(drawn[7].wave, varied[Draw(0, 7, 0)].wave)
    assert not torch.equal(drawn[7].wave, varied[Draw(1, 7, 0)].wave)
    gains = torch.stack([item.gain for item in drawn])
    assert gains.min() >= 10 ** (-6 / 20)
    assert gains.max() <= 10 ** (6 / 20)
    assert gains.max() / gains.min() > 1.5
    shifts = {int((item.wave != 0).nonzero()[0]) for item in drawn}
    assert max(shifts) <= 160
    assert len(shifts) > 20


@pytest.mark.parametrize(("count", "total"), [(300, 58), (300, 5), (5, 5), (1, 7), (4, 7), (300, 1000), (3, 0)])
def test_spread_takes_all_or_evenly_many(count, total):
    found = spread(count, total)
    assert found == sorted(set(found))
    assert len(found) == min(count, total)
    if count >= total:
        assert found == list(range(total))
    elif count > 1:
        assert (found[0], found[-1]) == (0, total - 1)
        gaps = np.diff(found)
        assert gaps.max() - gaps.min() <= 1


def test_a_glimpse_holds_every_segment_of_a_small_collection(folder):
    data = datamodule(folder)
    data.setup()
    train = data.datasets["train"]
    seen = data.glimpse(3 * len(train))
    assert len(seen) > len(train)
    item = train[len(train) - 1]
    own = data.on_after_batch_transfer(type(item)(*(part[None] for part in item)), 0).spectrogram
    assert torch.equal(seen[len(train) - 1], own[0, 0])


def test_polarity_flips_about_half():
    dataset = SoundDataset([Sound(None, "a", noise(1000), "d")], 1000)
    varied = Variations(dataset, speed=0.0, shift=0.0, gain_db=0.0, polarity=True, seed=0, sample_rate=16000)
    signs = [float((varied[Draw(0, n, 0)].wave / dataset[0].wave).median()) for n in range(100)]
    assert {round(sign, 4) for sign in signs} == {-1.0, 1.0}
    assert 25 < signs.count(1.0) < 75


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_speed_changes_pitch_and_length(speed):
    wave = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    item = SoundDataset([Sound(None, "a", wave, "d")], 16000).excerpt(0, shift=0, speed=speed)
    assert item.wave.shape == (16000,)
    assert abs(int(item.samples) - min(16000, 16000 / speed)) <= 2
    spectrum = item.wave[: int(item.samples)].numpy()
    peak = np.abs(np.fft.rfft(spectrum)).argmax() * 16000 / spectrum.size
    assert abs(peak - 1000 * speed) < 5


def test_sampler_counts_passes_and_shares():
    sampler = EpochSampler(7, least=20, seed=0)
    first = list(sampler)
    assert len(first) == len(sampler) == 21
    assert sorted(draw.index for draw in first) == sorted(list(range(7)) * 3)
    assert [draw.position for draw in first] == list(range(21))
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert [draw.index for draw in first] != [draw.index for draw in sampler]
    halves = [list(EpochSampler(7, least=20, seed=0, rank=rank, ranks=2)) for rank in (0, 1)]
    assert len(halves[0]) == len(halves[1]) == 10
    assert sorted(halves[0] + halves[1], key=lambda draw: draw.position) == first[:20]


def test_batches_are_padded_spectrograms(folder):
    data = datamodule(folder)
    data.setup()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.spectrogram.shape == (4, 2, 128, 32)
    assert batch.spectrogram[..., 30:].eq(0).all()
    # the loudest bin is at full scale but for the variation's gain: as if the wave had been made so loud
    representation = data.representation
    assert torch.allclose(representation.level(batch.spectrogram), batch.gain, rtol=1e-4)
    assert torch.equal(batch.peak, batch.wave.abs().amax(dim=1))
    factor = batch.gain / representation.level(representation(batch.wave))
    expected = representation(factor[:, None] * batch.wave)
    assert torch.allclose(batch.spectrogram[:, 0, :, :30], expected[:, 0], atol=1e-3)
    assert torch.equal(batch.spectrogram[:, 1, :, :30], representation(batch.wave)[:, 1])


def test_reads_the_users_folder(folder):
    data = datamodule(folder)
    data.setup()
    table = data.table()
    assert "9 files" in table
    assert "3 files" in table
    for name in ("empty.wav", "text.flac", "silent.wav"):
        assert name in table
    assert "heavy suits 9 files" in table
    names = {split: {sound.name for sound in found} for split, found in data.collection.splits.items()}
    twins = {"copy.wav", "sub folder/breath 074.wav"}
    assert [found & twins for found in names.values() if found & twins] == [twins]


def test_a_second_reading_deals_the_same(folder):
    pairs = [datamodule(folder) for _ in range(2)]
    drawn = []
    for data in pairs:
        data.setup()
        drawn.append(next(iter(data.train_dataloader())).wave)
    assert torch.equal(*drawn)


def write_nsynth(root, count=3):
    for number, name in enumerate(collection.NSYNTH.values()):
        names = [f"guitar_{number}-{n}" for n in range(count)]
        (root / name).mkdir(parents=True)
        (root / name / "examples.json").write_text(json.dumps({note: {"pitch": 60} for note in names}))
        for n, note in enumerate(names):
            audio.write(root / name / "audio" / f"{note}.wav", noise(4000) * (1 + n), 16000)


def test_nsynth_keeps_its_own_splits(tmp_path):
    write_nsynth(tmp_path)
    (tmp_path / "nsynth-train" / "audio" / "guitar_0-1.wav").unlink()
    data = datamodule(tmp_path, source="nsynth")
    data.setup()
    names = {split: [sound.name for sound in found] for split, found in data.collection.splits.items()}
    assert names["train"] == [f"nsynth-train/audio/guitar_0-{n}.wav" for n in (0, 2)]
    assert names["validation"] == [f"nsynth-valid/audio/guitar_1-{n}.wav" for n in range(3)]
    assert "no such file" in data.collection.refused["nsynth-train/audio/guitar_0-1.wav"]
    limited = datamodule(tmp_path, source="nsynth", limit=1)
    limited.setup()
    assert [len(found) for found in limited.collection.splits.values()] == [1, 1, 1]


def test_nsynth_says_what_is_missing(tmp_path):
    write_nsynth(tmp_path)
    (tmp_path / "nsynth-valid" / "examples.json").write_text("{")
    with pytest.raises(Refusal, match=r"nsynth-valid/examples\.json"):
        datamodule(tmp_path, source="nsynth").setup()


def test_long_lists_are_shortened(tmp_path):
    refused = {f"{n}.wav": "empty" for n in range(100)}
    found = collection.Collection(tmp_path, {name: [] for name in collection.SPLITS}, refused)
    text = collection.table(found, 16000, 1000, dict.fromkeys(collection.SPLITS, 0))
    assert "and 80 more" in text


@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*multi-threaded.*fork")
def test_workers_ahead_of_a_gpu_read_what_none_read(folder, monkeypatch):
    monkeypatch.setattr(hardware, "workers", lambda device, ranks: {("cpu", 1): 2}[device, ranks])
    pair = [datamodule(folder, workers=workers) for workers in (None, 0)]
    for data in pair:
        data.setup()
    ahead, none = (data.train_dataloader() for data in pair)
    assert (ahead.num_workers, none.num_workers) == (2, 0)
    for epoch in range(2):
        ahead.sampler.set_epoch(epoch)
        none.sampler.set_epoch(epoch)
        assert torch.equal(*(torch.cat([item.wave for item in loader]) for loader in (ahead, none)))


@pytest.mark.parametrize(
    ("device", "cores", "ranks", "workers"),
    [("cpu", 16, 1, 0), ("mps", 8, 1, 0), ("cuda", 16, 1, 4), ("cuda", 2, 1, 1), ("cuda", 1, 1, 0), ("cuda", 16, 8, 1)],
)
def test_workers_suit_the_device_and_the_cores(monkeypatch, device, cores, ranks, workers):
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: range(cores), raising=False)
    assert hardware.workers(device, ranks) == workers
