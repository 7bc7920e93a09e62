import json
import math
from pathlib import Path

import pytest
import torch
from torchaudio.transforms import GriffinLim

from tests.conftest import QUICK, python, refused
from vae2ch.bench import brief, trial
from vae2ch.bench.instruments import APART, PITCHES, VELOCITIES, chosen, name, pitch_of, score
from vae2ch.bench.phases import sounds
from vae2ch.bench.precision import apart
from vae2ch.bench.scores import heard_pitches
from vae2ch.bench.sound import ITERATIONS, griffin_lim
from vae2ch.bench.step import Plain
from vae2ch.model import VAE
from vae2ch.refusal import Refusal
from vae2ch.representation import Representation
from vae2ch.run import build

SMALL = [setting for setting in QUICK if setting.startswith(("representation", "data"))]


def test_the_judge_scores_every_method(folder, tmp_path):
    quick = [setting for setting in QUICK if not setting.startswith("minutes")]
    done = python("-m", "vae2ch.bench.sound", "--data", folder, "--minutes", "0.1", *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "outputs" / "bench-sound" / "sound.json").read_text())
    scores = found["scores"]
    ceiling = scores["analysis and synthesis, no model (ceiling)"]
    assert all(row["snr"] > 90 for row in ceiling)
    in_pitch = [row["pitch_kept"] for row in ceiling if "pitch_kept" in row]
    assert in_pitch
    assert min(in_pitch) > 0.9
    distance = {name: sum(row["multi_resolution_stft"] for row in rows) for name, rows in scores.items()}
    assert min(distance, key=distance.get) == "analysis and synthesis, no model (ceiling)"
    assert distance["PCA, true frequency"] < distance["PCA, 64 Griffin-Lim iterations"]
    table = (tmp_path / "outputs" / "bench-sound" / "sound.md").read_text()
    header, *rows = cells(table, "")[: 2 + len(scores)]
    assert [row[0] for row in rows[1:]] == [*scores]
    assert {len(row) for row in rows} == {len(header)}
    assert cells(table, found["files"][0])
    worst = [row["multi_resolution_stft"] for row in found["worst_first"]]
    assert worst == sorted(worst, reverse=True)


def test_the_judge_refuses_in_one_line(tmp_path):
    refused(python("-m", "vae2ch.bench.sound", "--data", "nowhere", cwd=tmp_path), "nowhere does not exist")
    with pytest.raises(Refusal, match="gone does not exist"):
        brief.finished(Path("gone"), brief.settings())


def test_the_plain_loop_is_the_same_network():
    """Same weights, same output: what is compared is the way, not the work."""
    _, module = build(
        brief.settings(
            ["representation.n_fft=126", "representation.hop=32", "representation.frames=32", "latent_dim=4"]
        )
    )
    vae: VAE = module.vae.eval()
    plain = Plain(bins=64, frames=32, latent_dim=4).eval()
    mine = [layer for layer in vae.modules() if not list(layer.children()) and list(layer.parameters())]
    ordered = [*plain.encoder, plain.into, plain.out, *plain.decoder]
    theirs = [layer for layer in ordered if list(layer.parameters())]
    assert len(mine) == len(theirs) + 1 == 12
    for layer, other in zip(mine, theirs, strict=False):
        layer.load_state_dict(other.state_dict())
    heads = (plain.magnitude.state_dict(), plain.frequency.state_dict())
    joint = {"weight": torch.cat([head["weight"] for head in heads], dim=1)}
    mine[-1].load_state_dict(joint | {"bias": torch.cat([head["bias"] for head in heads])})
    spectrogram = torch.rand(2, 2, 64, 32)
    for drawn in (0, 1):  # with equal noise, both must draw the same
        torch.manual_seed(drawn)
        expected, _ = plain(spectrogram)
        torch.manual_seed(drawn)
        assert torch.allclose(vae.decode(vae.encode(spectrogram).sample()), expected, atol=1e-5)


def cells(stdout, first):
    """The cells of the rows whose first one starts so."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in stdout.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0].startswith(first)]


def test_the_presets_are_compared_on_the_same_sounds(folder, tmp_path):
    arguments = ("-m", "vae2ch.bench.presets", "--data", folder, "--steps", "2", "--seeds", "2")
    done = python(*arguments, "--sizes", "2", "--set", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    means = {preset: float(cells(done.stdout, f"2, {preset}")[0][1]) for preset in ("light", "medium", "heavy")}
    assert all(0 < mean < 60 for mean in means.values())
    assert f"2, best: **{min(means, key=means.get)}**" in done.stdout


def test_a_smaller_collection_is_part_of_a_larger_one(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial, "begin", lambda *_: None)  # nothing need be learnt
    monkeypatch.setattr(brief, "fit", lambda *_, **__: None)
    settings = brief.settings([*brief.source(folder), *SMALL])

    def chosen(size, seed):
        _, data = trial.trained(settings, steps=1, seed=seed, size=size)
        return [{sound.name for sound, _ in data.datasets[split].excerpts} for split in ("train", "validation", "test")]

    (small, *held_out), (large, *others), (again, *_) = chosen(2, seed=0), chosen(4, seed=0), chosen(2, seed=1)
    assert small < large
    assert small == again
    assert held_out == others
    assert not large & set.union(*held_out)


def test_a_size_beyond_the_collection_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="999 asked for"):
        trial.trained(brief.settings([*brief.source(folder), *SMALL]), steps=1, seed=0, size=999)


def test_settings_are_changed_one_at_a_time(folder, tmp_path):
    arguments = ("-m", "vae2ch.bench.ablations", "--data", folder, "--data", folder, "--steps", "3")
    done = python(*arguments, "training.learning_rate=0+augment.gain_db=0", "--set", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    same, still = (cells(done.stdout, name)[0] for name in ("nothing", "training"))
    assert same[1:] != still[1:]
    assert all(row[1:3] == row[3:5] for row in (same, still))  # of one folder, twice
    assert all(0 < float(cell) < 60 for row in (same, still) for cell in row[1:])
    refused(python(*arguments, "augment.sped=1", cwd=tmp_path), "augment.sped", "speed")


def test_phases_are_compared_on_a_run(folder, trained, tmp_path, monkeypatch):
    run, _ = trained
    arguments = ("--starts", "1", "--data", folder, *SMALL)
    done = python("-m", "vae2ch.bench.phases", run, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header, _, *rows = cells(done.stdout, "")
    assert {len(row) for row in rows} == {len(header)}
    distance = {row[0]: float(row[2]) for row in rows}
    assert len(distance) == 9
    truth = distance.pop("the true phase")
    assert truth < min(distance.values())
    monkeypatch.chdir(tmp_path)
    _, data = brief.finished(run, brief.settings([*brief.source(folder), *SMALL]))
    known, held_out = (set(sounds(data, splits)[2]) for splits in (["train"], ["validation", "test"]))
    assert known
    assert held_out
    assert not known & held_out


@pytest.mark.parametrize(
    ("overrides", "said"), [((), "representation.n_fft=254"), ((*SMALL, "seed=1"), "split its sounds otherwise")]
)
def test_a_run_is_judged_on_the_data_that_it_was_trained_with(folder, trained, tmp_path, monkeypatch, overrides, said):
    run, _ = trained
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=said):
        brief.finished(run, brief.settings([*brief.source(folder), *overrides]))


def test_draws_are_further_apart_the_smoother_they_are(folder, trained, tmp_path):
    run, _ = trained
    arguments = ("--smoothing", "0", "0.5", "1", "--data", folder)
    done = python("-m", "vae2ch.bench.drawing", run, *SMALL, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    apart_by = [float(row[3]) for row in cells(done.stdout, "")[3:]]
    assert len(apart_by) == 3
    assert apart_by == sorted(apart_by)


def test_the_precisions_are_compared_term_by_term(folder, tmp_path):
    source = ("data=folder", f'data.root="{folder}"')
    done = python("-m", "vae2ch.bench.precision", *source, *SMALL, "--steps", "2", "--seeds", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for precision in ("32-true", "bf16-mixed"):
        rows = cells(done.stdout, precision)
        assert len(rows) == 2
        assert rows[0][1] != rows[1][1]  # another seed, another result
    assert len([line for line in done.stdout.splitlines() if line.startswith("magnitude: ")]) == 1


def test_ranges_are_apart_or_not():
    assert apart([1.0, 2.0], [2.5, 3.0])
    assert apart([2.5, 3.0], [1.0, 2.0])
    assert not apart([1.0, 2.0], [1.5, 3.0])


def test_sets_of_instruments_share_no_program():
    first, other = chosen(0, 12, 378, seed=1), chosen(12, 12, 378, seed=2)
    assert len(set(first)) == len(set(other)) == 378
    assert not {program for program, _, _ in first} & {program for program, _, _ in other}
    assert {pitch for _, pitch, _ in first} == set(PITCHES)
    assert {velocity for _, _, velocity in first} == set(VELOCITIES)
    assert first == chosen(0, 12, 378, seed=1)
    with pytest.raises(Refusal, match="95 programs"):
        chosen(90, 12, 5, seed=0)
    with pytest.raises(Refusal, match="--notes 148: 1 programs have 147"):
        chosen(0, 1, 148, seed=0)


def test_griffin_lim_is_torchaudios_where_the_ends_are_silent():
    representation = Representation(sample_rate=16000, n_fft=254, hop=64, frames=64, gain=1e4)
    wave = torch.zeros(2, representation.segment)
    wave[:, 1000:3000] = 0.3 * torch.randn(2, 2000)
    magnitude = representation(wave)[:, 0]
    amplitude = representation.amplitude(magnitude)
    library = GriffinLim(254, ITERATIONS, hop_length=64, power=1.0, length=representation.segment)(amplitude)

    def away(made):
        return torch.linalg.vector_norm(representation.spectrum(made).abs() - amplitude) / torch.linalg.norm(amplitude)

    ours, theirs = away(griffin_lim(representation, magnitude)), away(library)
    assert ours < 1.2 * theirs
    assert theirs < 1.2 * ours
    assert ours < 0.5


def test_a_pitch_counts_where_it_is_heard_and_is_the_one_that_the_name_tells():
    note = (4, 69, 80)
    assert pitch_of(name(note)) == 69
    assert pitch_of("guitar/kick_m069.wav") is None
    sine = torch.sin(2 * math.pi * 440 * torch.arange(16000) / 16000)
    waves, labels = torch.stack([sine, sine, sine, 0 * sine]), [name(note), name((4, 57, 80)), "a.wav", name(note)]
    right, misread, untold, silent = heard_pitches(waves, [16000] * 4, labels, 16000)
    assert right.note == 69
    assert right.heard.any()
    assert ((right.track - 69).abs() < 0.5)[right.heard].all()
    assert abs(untold.note - 69) < 0.5
    assert math.isnan(misread.note)
    assert math.isnan(silent.note)


def test_notes_are_where_they_are_cut_from():
    begun, clock = [], 0.0
    for message in score(chosen(0, 2, 5, seed=0)):  # mido counts the seconds
        clock += message.time
        if message.type == "note_on":
            begun.append(round(clock, 3))
    assert begun == [number * APART for number in range(5)]
