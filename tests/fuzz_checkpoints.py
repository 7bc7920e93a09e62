"""Damaged checkpoints by number: a real one whose bytes, archive, pickle, settings or tensors were changed."""

import contextlib
import functools
import io
import lzma
import math
import random
import re
import warnings
import zipfile

import torch

from tests.fuzz_sounds import Case
from tests.helpers import ROOT
from tests.mutations import ANY_FILE, digest, extreme, mutate, overwritten
from vae2ch.codec import SoundCodec
from vae2ch.config import CodecConfig, from_mapping

STORED = ROOT / "tests" / "checkpoints" / "format7.ckpt.xz"


class Constructed:
    """A value that a pickle constructs by a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def values():
    """Values that a setting or another entry may have in a damaged or hostile file."""
    yield from (0, 1, -1, 2, 3, 64, 2**15, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 10**30, 10**600, 0.5, 1e308, -0.0)
    yield from (math.nan, math.inf, -math.inf, True, False, None, "", "4", "text", "x" * 100_000)
    yield from ("two\nlines", "\x1b[31mred", "\ud800", "../../etc/passwd", b"bytes", [], {}, (), [0] * 1000, deep(200))
    yield from ({1: 2}, {"": {}}, {None: 1}, torch.tensor(1), torch.zeros(2), torch.Size([1]), set(), 1j)
    yield from (Constructed(bytearray, 2**33), Constructed(print, "executed"), torch.float16)


def flat(old):
    return old.detach().flatten()


def sparse(old):
    return torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (2**31, 2**31))


TENSORS = (  # what a tensor may be in a damaged or hostile file
    flat,
    sparse,
    lambda old: old[None],
    lambda old: flat(old)[:0],
    lambda old: flat(old)[:1],
    lambda old: old.transpose(0, -1),
    *(lambda old, kind=kind: old.to(kind) for kind in (torch.float16, torch.bfloat16, torch.float64, torch.int64)),
    *(lambda old, kind=kind: old.to(kind) for kind in (torch.int8, torch.bool, torch.complex64)),
    *(lambda old, value=value: torch.full_like(old, value) for value in (math.nan, math.inf, -1e38, 0.0)),
    lambda old: torch.zeros(1).expand(old.shape or (1,)),
    lambda old: torch.zeros(1).expand(2**40),
    lambda old: old.to_sparse(),
    lambda old: flat(old)[None].to_sparse_csr(),
    lambda old: torch.nn.Parameter(old.float()),
    lambda old: old.to("meta"),
    lambda old: torch.quantize_per_tensor(old.float(), 0.1, 0, torch.qint8),
    lambda old: torch.nested.nested_tensor([flat(old).float(), flat(old)[:1].float()], layout=torch.jagged),
)


@functools.cache
def intact_checkpoint(narrow=False):
    """Bytes of a real checkpoint; ``narrow`` fits it to a model whose layers have fewer features."""
    data = lzma.decompress(STORED.read_bytes())
    if not narrow:
        return data
    checkpoint = torch.load(io.BytesIO(data), weights_only=True)
    codec = SoundCodec(from_mapping(CodecConfig, checkpoint["vae2ch"]["config"]))
    checkpoint["state_dict"] = {f"codec.{name}": value for name, value in codec.state_dict().items()}
    state = checkpoint["optimizer_states"][0]["state"]
    for moments, weight in zip(state.values(), codec.vae.parameters(), strict=True):
        moments |= {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
    return saved(checkpoint)


def saved(checkpoint):
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def entries(value):
    """All pairs of a container and a key, through nested dicts and lists."""
    for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(part, dict | list):
            yield from entries(part)


def change_bytes(data, chance):
    return mutate(data, chance, data[: chance.choice((100, 100_000))], ANY_FILE)


def change_archive(data, chance):
    """Fields of the archive's headers: sizes, offsets, methods, names, counts."""
    starts = [found.start() for found in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06|\x06\x06|\x06\x07)", data)]
    names = []
    for _ in range(chance.choice((1, 1, 3))):
        start = chance.choice((*starts[-3:], chance.choice(starts)))
        offset, size = chance.randrange(4, 56), chance.choice((1, 2, 2, 4, 4, 8))
        old = int.from_bytes(data[start + offset : start + offset + size], "little")
        new = extreme(chance, old, size, len(data))
        data = overwritten(data, start + offset, new.to_bytes(size, "little"))
        names.append(f"{data[start + 2]}+{offset}: {old} -> {new}")
    return data, names


def change_members(data, chance):
    """Members of the archive removed, doubled, renamed or changed, above all the pickle; their checksums fit."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = [[part.filename, archive.read(part)] for part in archive.infolist()]
    names = [name for name, _ in parts]
    part = chance.choice((parts[names.index("archive/data.pkl")], chance.choice(parts)))
    action = chance.choice(("change", "change", "change", "remove", "double", "rename", "empty"))
    description = [f"{action} {part[0]}"]
    if action == "change":
        part[1], functions = mutate(part[1], chance, part[1][:1000], ANY_FILE)
        description += functions
    elif action == "remove":
        parts.remove(part)
    elif action == "double":
        parts.append(list(part))
    elif action == "rename":
        part[0] = chance.choice(("/etc/passwd", "../../outside", "archive/data/0", "", "archive/\xff", "x" * 60_000))
    else:
        part[1] = b""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts:
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue(), description


def change_values(data, chance):
    """Settings, counters and other entries replaced, removed or renamed."""
    checkpoint = torch.load(io.BytesIO(data), weights_only=True)
    roots = (checkpoint["vae2ch"], checkpoint["vae2ch"]["config"], checkpoint)
    description = []
    for _ in range(chance.choice((1, 1, 2))):
        container, key = chance.choice(list(entries(chance.choice(roots))))
        old, action = container[key], chance.choice(("replace", "replace", "replace", "replace", "remove", "rename"))
        new = chance.choice([*values(), *([old * 2, old + 1, -old] if isinstance(old, int | float) else [])])
        if action == "replace":
            container[key] = new
        elif action == "remove" or isinstance(container, list):
            del container[key]
        else:
            container[chance.choice((0, None, "other", "x\ny", (1, 2), 2**70))] = container.pop(key)
        description.append(f"{action} {key}" + (f" by {str(new)[:40]!r}" if action == "replace" else ""))
    return saved(checkpoint), description


def change_tensors(data, chance):
    """Shape, type, layout or values of a parameter or of a moment."""
    checkpoint = torch.load(io.BytesIO(data), weights_only=True)
    roots = (checkpoint["state_dict"], checkpoint["optimizer_states"])
    found = [pair for pair in entries(chance.choice(roots)) if isinstance(pair[0][pair[1]], torch.Tensor)]
    container, key = chance.choice(found)
    shape = tuple(container[key].shape)
    with contextlib.suppress(RuntimeError):  # an integer that is not finite: left as it is
        container[key] = chance.choice(TENSORS)(container[key])
    new = container[key]
    return saved(checkpoint), [f"{key} {shape}: {new.dtype}, {new.layout}, {str(new)[:60]!r}"]


CHANGES = {
    "bytes": change_bytes,
    "archive": change_archive,
    "members": change_members,
    "values": change_values,
    "tensors": change_tensors,
}


def checkpoint_case(number, seed, narrow=False):
    """The damaged checkpoint of a number."""
    chance = random.Random(f"checkpoint {seed} {number}")
    kind = list(CHANGES)[number % len(CHANGES)]
    with warnings.catch_warnings(action="ignore"):  # of the damage
        data, description = CHANGES[kind](intact_checkpoint(narrow), chance)
    text = " ".join(f"{kind}; {', '.join(description)}; {digest(data)}".split())
    return Case(f"checkpoint: {kind}", ".ckpt", data, text)
