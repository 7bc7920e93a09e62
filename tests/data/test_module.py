import csv
from dataclasses import replace

import pytest
import torch

from tests.data.helpers import data_module, write_noise
from tests.helpers import SMALL
from vae2ch.data.dataset import Item

FRAMES_30 = replace(SMALL, frames=30)


def batch_of(*items):
    return Item(*map(torch.stack, zip(*items, strict=True)))


def loudest_amplitude(module, spectrogram):
    """Amplitude of the loudest bin re full scale, by the formula of channel 0  [B]"""
    return torch.expm1(2 * spectrogram[:, 0].amax(dim=(-2, -1))) / module.representation.gain


def test_batches_are_padded_spectrograms(folder):
    module = data_module(folder, FRAMES_30)
    item = next(iter(module.train_dataloader()))
    batch = module.on_after_batch_transfer(item, 0)
    assert batch.spectrogram.shape == (4, 2, 128, 32)
    assert batch.spectrogram[..., 30:].eq(0).all()
    assert torch.equal(batch.spectrogram[..., :30], module.representation(item.wave, item.gain).spectrogram)
    assert torch.equal(batch.peak, batch.wave.abs().amax(dim=1))
    for name in ("wave", "samples", "index"):
        assert torch.equal(getattr(batch, name), getattr(item, name))


def test_the_loudest_bin_has_the_gain_of_the_augmentation(folder):
    module = data_module(folder)
    item = next(iter(module.train_dataloader()))
    assert item.gain.unique().numel() > 1
    assert torch.allclose(loudest_amplitude(module, module.analyse(item).spectrogram), item.gain, rtol=1e-3)
    item = next(iter(module.val_dataloader()))
    assert torch.allclose(loudest_amplitude(module, module.analyse(item).spectrogram), torch.tensor(1.0), rtol=1e-3)


def test_both_axes_are_padded_to_multiples_of_32(folder):
    """500 bins and 100 frames."""
    module = data_module(folder, replace(SMALL, n_fft=998, hop=240, frames=100))
    assert module.representation.size == (500, 100)
    batch = module.analyse(next(iter(module.val_dataloader())))
    assert batch.spectrogram.shape[1:] == (2, 512, 128)
    assert batch.spectrogram[:, :, 500:].eq(0).all()
    assert batch.spectrogram[..., 100:].eq(0).all()
    plain = module.representation(batch.wave).spectrogram
    assert plain.shape[1:] == (2, 500, 100)
    assert torch.equal(batch.spectrogram[..., :500, :100], plain)


def test_the_collection_is_read_once(folder):
    module = data_module(folder)
    collection = module.collection
    module.setup("test")
    assert module.collection is collection


def test_validation_and_test_segments_are_in_order_and_without_augmentation(folder):
    module = data_module(folder)
    for name, loader in (("validation", module.val_dataloader()), ("test", module.test_dataloader())):
        dataset = module.datasets[name]
        found = torch.cat([item.wave for item in loader])
        assert torch.equal(found, torch.stack([dataset[index].wave for index in range(len(dataset))]))


def test_training_can_be_limited_to_the_first_segments(folder):
    module, limited = data_module(folder), data_module(folder, train_segments=3)
    assert limited.datasets["train"].excerpts == module.datasets["train"].excerpts[:3]
    assert len(limited.datasets["validation"]) == len(module.datasets["validation"])


@pytest.mark.parametrize(("batch_size", "batches"), [(4, 5), (6, 4), (21, 1), (64, 1)])
def test_all_batches_are_whole(folder, batch_size, batches):
    module = data_module(folder, train_segments=7, batch_size=batch_size, epoch_segments=20)
    assert [len(item.wave) for item in module.train_dataloader()] == [batch_size] * batches


def test_validation_takes_a_quarter_of_the_segments_of_an_epoch_at_most(folder):
    module = data_module(folder, epoch_segments=1)
    count, epoch = len(module.datasets["validation"]), len(module.train_dataloader().sampler)
    found = torch.cat([item.index for item in module.val_dataloader()]).tolist()
    assert len(found) == min(count, epoch // 4) == len(set(found))
    assert found[0] == 0
    assert found[-1] == count - 1 or len(found) == 1


def test_another_module_serves_the_same_batches(folder):
    first, second = (next(iter(data_module(folder).train_dataloader())) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_labels_name_the_file_and_the_time(folder):
    module = data_module(folder)
    labels = [module.label("train", index) for index in range(len(module.datasets["train"]))]
    sound, start = module.datasets["train"].excerpts[1]
    assert start > 0
    assert labels[0] == module.datasets["train"].excerpts[0][0].name
    assert labels[1] == f"{sound.name} @ {start / SMALL.sample_rate:.2f} s"
    assert len(set(labels)) == len(labels)


def test_sampled_log_magnitudes_begin_with_all_segments_of_a_small_collection(folder):
    module = data_module(folder, FRAMES_30, epoch_segments=400)
    train = module.datasets["train"]
    found = module.sample_log_magnitudes(3 * len(train))
    assert len(found) >= 3 * len(train)
    assert found.shape[1:] == (128, 32)
    plain = module.analyse(batch_of(*(train[index] for index in range(len(train))))).spectrogram[:, 0]
    assert torch.allclose(found[: len(train)], plain, atol=1e-5)
    rest = found[len(train) :]
    assert min(float((rest - segment).abs().amax(dim=(1, 2)).min()) for segment in plain) > 0.01  # augmented


def test_sampled_log_magnitudes_of_a_large_collection_are_evenly_spaced(folder):
    module = data_module(folder)
    train = module.datasets["train"]
    found = module.sample_log_magnitudes(8)
    assert len(found) == 8
    ends = module.analyse(batch_of(train[0], train[len(train) - 1])).spectrogram[:, 0]
    assert torch.allclose(found[[0, 3]], ends, atol=1e-5)


@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:.*multi-threaded.*fork")
def test_worker_processes_serve_the_same_batches(folder):
    several, none = (data_module(folder, workers=workers).train_dataloader() for workers in (2, 0))
    assert (several.num_workers, none.num_workers) == (2, 0)
    for epoch in range(2):
        waves = []
        for loader in (several, none):
            loader.sampler.set_epoch(epoch)
            waves.append(torch.cat([item.wave for item in loader]))
        assert torch.equal(*waves)


def test_the_table_names_all_that_was_refused(folder):
    module = data_module(folder)
    table = module.table()
    assert "kept      9 files" in table
    assert "refused   3 files" in table
    for name in ("empty.wav", "text.flac", "silent.wav"):
        assert name in table
    assert "heavy suits 8 recordings, 72 segments" in table
    for name, dataset in module.datasets.items():
        assert f"{name} {len(dataset)} ({len(module.collection.splits[name])} files)" in table


def test_the_csv_file_has_a_row_for_each_file(folder, tmp_path):
    module = data_module(folder)
    module.write_csv(tmp_path / "sounds.csv")
    with (tmp_path / "sounds.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 12
    for split, sounds in module.collection.splits.items():
        for sound in sounds:
            assert rows[sound.name]["split"] == split
            assert float(rows[sound.name]["seconds"]) == pytest.approx(sound.wave.size / 16000, abs=1e-3)
    assert rows["silent.wav"]["split"] == "refused"
    assert "silent" in rows["silent.wav"]["remark"]


def test_sounds_from_the_cache_give_the_same_batches(tmp_path):
    write_noise(tmp_path / "sounds", *(f"{n}.wav" for n in range(5)))
    modules = [data_module(tmp_path / "sounds", cache=cache) for cache in (None, *[str(tmp_path / "cache")] * 2)]
    waves = [torch.cat([item.wave for item in module.train_dataloader()]) for module in modules]
    assert torch.equal(waves[0], waves[1])
    assert torch.equal(waves[0], waves[2])
