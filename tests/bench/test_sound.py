import json
import math
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import QUICK, small_representation
from vae2ch.bench import sound
from vae2ch.bench.sampling import trait_distances, traits, wasserstein
from vae2ch.errors import InputError

RATE = 16000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:At least one mel filterbank")  # the bins of QUICK are wider than low mel bands
def test_every_method_is_scored_on_a_finished_run(folder, trained, tmp_path, monkeypatch, capsys):
    run, _ = trained
    torch.set_num_threads(1)  # faster for small spectrograms
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sound", "--data", str(folder), "--run", str(run), "--perceptual", "0", *QUICK])
    sound.main()
    found = json.loads((run / "sound.json").read_text())
    scores = found["scores"]
    assert len(scores) == len(found["seconds"]) == 11
    assert {len(rows) for rows in scores.values()} == {len(found["worst_first"])}
    assert all(row["snr"] > 90 for row in scores[sound.CEILING])
    accuracies = [row["raw_pitch_accuracy"] for row in scores[sound.CEILING] if "raw_pitch_accuracy" in row]
    assert accuracies
    assert min(accuracies) > 0.9
    distance = {name: sound.mean(rows, "multi_resolution_stft") for name, rows in scores.items()}
    assert min(distance, key=distance.get) == sound.CEILING
    assert distance["PCA, true frequency"] < distance["PCA, 64 Griffin-Lim iterations"]
    worst = [row["multi_resolution_stft"] for row in found["worst_first"]]
    assert worst == sorted(worst, reverse=True)
    assert all(math.isfinite(value) for value in found["distances"].values())
    text = (run / "sound.md").read_text()
    assert text.startswith(capsys.readouterr().out.rstrip())
    assert all(f"| {name} |" in text for name in (*scores, *found["distances"], *found["traits"]))
    assert all(f"| {row['file']} |" in text for row in found["worst_first"])


def test_a_run_is_trained_with_the_given_settings(folder, tmp_path, monkeypatch):
    arguments = ["--data", str(folder), "preset=light", "name=mine", *QUICK, "--minutes", "0.5"]
    trained_with = []

    def run(config, place):
        trained_with.append((config.data.root, config.preset, config.minutes, place))
        raise InputError("enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sound", *arguments])
    monkeypatch.setattr(sound, "run", run)
    with pytest.raises(SystemExit):
        sound.main()
    assert trained_with == [(str(folder), "light", 0.5, Path("outputs/mine"))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere", "preset=light"), "nowhere does not exist"),
        (("preset=hevy",), "did you mean heavy?"),
        (("--minutes", "ten"), "--minutes: ten is no number above 0"),
    ],
)
def test_unusable_arguments_give_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sound", *arguments])
    with pytest.raises(SystemExit):
        sound.main()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())


def test_pca_with_enough_components_reconstructs_its_training_set():
    magnitudes = torch.rand(6, 8, 8)
    assert torch.allclose(sound.pca(magnitudes, magnitudes, components=5), magnitudes, atol=1e-4)
    poor = sound.pca(magnitudes, magnitudes, components=1)
    assert (poor - magnitudes).square().mean() > 0.01


def test_nearest_and_mel_return_spectrograms_of_the_same_size():
    train = torch.rand(5, 2, 8, 8)
    assert torch.equal(sound.nearest(train, train[[3, 1]]), train[[3, 1]])
    magnitude = torch.rand(2, 2049, 2)  # narrow bins, so that no mel band is empty
    assert sound.mel(small_representation(n_fft=4096, hop=1024), magnitude).shape == magnitude.shape


def test_means_leave_out_infinite_and_missing_values():
    assert sound.mean([{"snr": 1.0}, {"snr": math.inf}, {}, {"snr": 3.0}], "snr") == 2
    assert math.isnan(sound.mean([{}], "snr"))


def struck(frequency=1000.0, decay=40.0, level=0.5, seconds=2.0):
    """A sine that falls by ``decay`` dB per second  [1, S]"""
    time = torch.arange(round(RATE * seconds)) / RATE
    return (level * 10 ** (-decay / 20 * time) * torch.sin(2 * math.pi * frequency * time))[None]


def test_traits_of_a_decaying_sine():
    found = traits(struck(), RATE)
    assert found["brightness"].item() == pytest.approx(math.log2(1000), abs=0.02)
    assert found["decay"].item() == pytest.approx(20 / 40, abs=0.02)
    assert found["level"].item() == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.7)  # it decays in a frame


def test_silence_has_finite_traits():
    assert all(torch.isfinite(value).all() for value in traits(torch.zeros(2, 1000), RATE).values())


def test_wasserstein_distance_of_shifted_values():
    values = torch.randn(500)
    assert wasserstein(values, values[torch.randperm(500)]) == 0
    assert wasserstein(values, values + 3) == pytest.approx(3, abs=1e-5)
    assert wasserstein(torch.zeros(7), torch.tensor([-1.0, 1.0])) == pytest.approx(1)


def test_only_the_trait_that_was_changed_has_a_distance():
    louder = trait_distances(struck(level=0.05), struck(level=0.5), RATE)
    assert louder == pytest.approx({"level": 20, "brightness": 0, "decay": 0}, abs=0.01)
    assert trait_distances(struck(decay=20), struck(decay=40), RATE)["decay"] == pytest.approx(0.5, abs=0.03)
