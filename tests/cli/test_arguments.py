"""Mistakes on the command line are answered with the line that works."""

import shlex

import pytest

from vae2ch.cli.arguments import Reader, check
from vae2ch.errors import InputError

FOLDER = "data=folder data.root=/my/sounds"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Some folders, a run and two files."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "mine",
        "my sounds",
        "nsynth/nsynth-train",
        "outputs/RUN/checkpoints",
        "seed=1",
        "\u201cq\u201d",
        " led",
    ):
        (tmp_path / name).mkdir(parents=True)
    for name in ("outputs/RUN/run.json", "outputs/RUN/checkpoints/last.ckpt", "mine/a.wav", "mine/b.wav", "a.txt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "works"),
    [
        # a path without its key
        ("data=folder /my/sounds", FOLDER),
        ("data=/my/sounds", FOLDER),
        ("/my/sounds", FOLDER),
        ("data=folder root=/my/sounds", FOLDER),
        ("data.folder=/my/sounds", FOLDER),
        ("sounds=/my/sounds", FOLDER),
        ("data.rot=/my/sounds", FOLDER),
        ("data.root /my/sounds", FOLDER),
        ("--data /my/sounds", FOLDER),
        ("--root=/my/sounds", FOLDER),
        ("data.root=/my/sounds", FOLDER),
        ("data=notes /my/sounds", FOLDER),
        (r"C:\\sounds", r"data=folder 'data.root=C:\sounds'"),
        ("mine", "data=folder data.root=mine"),
        ("mine/a.wav mine/b.wav minutes=1", "minutes=1 data=folder data.root=mine"),
        ("data.root=nsynth", "data=nsynth data.root=nsynth"),
        ("data.root seed=1", "data=folder data.root=seed=1"),
        ("data.root ' led'", "data=folder 'data.root= led'"),
        ("data.root=' /my/sounds'", FOLDER),
        ("data.root=my sounds", "data=folder 'data.root=my sounds'"),
        ("my sounds", "data=folder 'data.root=my sounds'"),
        ("-m data.root=mine,nsynth", "-m data=folder data.root=mine,nsynth"),
        ("outputs/RUN minutes=+1", "resume=outputs/RUN minutes=+1"),
        ("resume outputs/RUN", "resume=outputs/RUN"),
        ("--resum=outputs/RUN", "resume=outputs/RUN"),
        ("outputs/RUN/checkpoints/last.ckpt", "resume=outputs/RUN/checkpoints/last.ckpt"),
        # a setting in another form
        ("latent_dim 64", "latent_dim=64"),
        ("latent_dim = 64 seed=1", "latent_dim=64 seed=1"),
        ("latent_dim =64", "latent_dim=64"),
        ("latent_dim= 64", "latent_dim=64"),
        ("latent_dim: 64", "latent_dim=64"),
        ("preset heavy", "preset=heavy"),
        ("heavy 44k", "preset=heavy representation=44k"),
        ("latent-dim=64", "latent_dim=64"),
        ("--latent_dim=64", "latent_dim=64"),
        ("--latent-dim 64", "latent_dim=64"),
        ("-preset=heavy", "preset=heavy"),
        ("PRESET=heavy", "preset=heavy"),
        ("batch_size=4", "data.batch_size=4"),
        # the typography of web pages
        ("latent_dim\uff1d64", "latent_dim=64"),
        ("latent_dim=64\u00a0preset=heavy", "latent_dim=64 preset=heavy"),
        ("\u2013m seed=1\uff0c2", "-m seed=1,2"),
        ("\u2014latent_dim=64", "latent_dim=64"),
        ("data=folder data.root=\u201c/my/sounds\u201d", FOLDER),
        ("data=folder data.root=\u2018my sounds\u2019", "data=folder 'data.root=my sounds'"),
        ('''"'latent_dim=64'"''', "latent_dim=64"),
        ("'preset=heavy\r'", "preset=heavy"),
    ],
)
def test_the_line_that_works_is_given(given, works):
    with pytest.raises(InputError) as caught:
        check(shlex.split(given))
    assert str(caught.value).endswith(f"write: python train.py {works}")
    check(shlex.split(works))


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "data=folder data.root=mine start=outputs/RUN preset=heavy",
        "data=notes data.root=mine",
        "data.source=folder data.root=mine",
        "resume=outputs/RUN data.root=mine minutes=+1",
        "-m latent_dim=1,2 'training.kl_weight=choice(0,1)' hydra.sweeper.max_batch_size=2",
        "--cfg job",
        "-c job --resolve -p data",
        "--info searchpath",
        "--info",
        "--hydra-help",
        "--config-name=config --multirun seed=1",
        "~experiment ++seed=1 data@x=notes hydra/job_logging=none",
        "latent_dimm=3",
        "data=folder data.root=\u201cq\u201d",
        "'data.root=\"a b\"' data=folder",
        "'data.root= led' data=folder 'start= led'",
        "-m 'data.root=mine, led' data=folder",
        "-m 'data.root= led,mine' data=folder",
    ],
)
def test_other_arguments_are_not_touched(arguments):
    check(shlex.split(arguments))
    assert Reader(shlex.split(arguments)).words == shlex.split(arguments)


def test_a_folder_may_be_called_by_spaces_alone(place):
    (place / "  ").mkdir()
    check(["data=folder", "data.root=  ", "start=  "])
    with pytest.raises(InputError, match=r"write: python train\.py data=folder 'data\.root=  '$"):
        check(["data=  "])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.root=", r"^data\.root= is empty; give a value \(folder of the sounds"),
        ("start=", r"^start= is empty; .*outputs/RUN"),
        ("resume=  ", r"^resume= is empty; .*resume=outputs/RUN"),
        ("data.cache=\t", r"^data\.cache= is empty; .*null: none"),
        ("name=", r"^name= is empty"),
        ("++latent_dim=", r"^latent_dim= is empty"),
        ("preset=", r"^preset= is empty"),
        ("hydra.run.dir=", r"^hydra\.run\.dir= is empty"),
        ("data.root=,x", r"^data\.root=,x has an empty value"),
        ("latent_dim=1,", r"^latent_dim=1, has an empty value"),
        ("", r"^an argument is empty"),
        ("-x", r"^-x is not understood \(settings are written key=value"),
        ("--nonsense=3", r"^--nonsense=3 is not understood"),
        ("latent_dim", r"^latent_dim has no value"),
        ("preset=[light,heavy]", r"^preset=\[light,heavy\]: a run takes one option; .* -m preset=light,heavy$"),
        ("a.txt", r"^a\.txt is a file; data\.root takes a folder"),
    ],
)
def test_other_mistakes_are_named(argument, message):
    with pytest.raises(InputError, match=message):
        check(["-m", argument, "data=folder"])


def test_two_folders_and_parts_of_a_path_are_named():
    with pytest.raises(InputError, match="mine, nsynth: a run takes one folder"):
        check(["mine", "nsynth"])
    with pytest.raises(InputError, match="samples: a path with spaces needs quotes"):
        check(["data=folder", "data.root=/my", "samples"])
