"""The layers of docs/design.md, checked against the import statements of the source."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "vae2ch"
MAX_ROOMS, MAX_FILE_LINES, MAX_FUNCTION_LINES = 20, 300, 40
# a room is an entry at the top of the package; it imports only rooms of the same or a lower layer
LAYERS = {
    "errors": 0,
    "config": 0,
    "files": 0,
    "terminal": 0,
    "audio": 0,
    "representation": 0,
    "losses": 0,
    "metrics": 0,
    "model": 0,
    "initial_weights": 1,
    "phase": 1,
    "latents": 1,
    "codec": 2,
    "data": 2,
    "training": 3,
    "callbacks": 3,
    "cli": 4,
    "__main__": 4,
    "bench": 5,
}
FRAMEWORKS = {"lightning", "pytorch_lightning", "hydra", "omegaconf"}
TRAINING_FREE = sorted(room for room, layer in LAYERS.items() if layer <= 2 and room != "data")


def module_name(path):
    """``vae2ch.data.scan`` of ``vae2ch/data/scan.py``; a folder's name of its ``__init__.py``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(source):
    """Modules that the import statements of a source name, also those inside functions.

    A name imported from a package is a module of this package or an attribute of the package's ``__init__``.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            paths = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {path if path in FILES else node.module for path in paths}
    return found


IMPORTS = {name: imported_modules(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def room(module):
    """Entry at the top of the package that a module is in; "" for the package itself and for other packages."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "vae2ch" else ""


def reachable(module):
    """Modules that importing ``module`` may import, directly or not, with the packages that contain them."""
    found, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        parents = {name.rpartition(".")[0]} & FILES.keys() - {"vae2ch"}
        waiting |= (IMPORTS.get(name, set()) | parents) - found
    return found


def test_imports_inside_functions_and_of_submodules_are_found():
    source = "import a.b\ndef f():\n    from vae2ch.data import notes, Batch\n    if f:\n        import hydra\n"
    assert imported_modules(source) == {"a.b", "vae2ch.data.notes", "vae2ch.data", "hydra"}


def test_every_room_has_a_layer():
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}
    assert entries - {"__init__"} == LAYERS.keys()
    assert len(LAYERS) <= MAX_ROOMS


def test_imports_go_to_the_same_or_a_lower_layer():
    upward = [
        f"{name} imports {target}"
        for name, targets in IMPORTS.items()
        for target in targets
        if room(name) and room(target) and LAYERS[room(target)] > LAYERS[room(name)]
    ]
    assert upward == []


def test_no_module_imports_itself_through_others():
    graph = {name: targets & FILES.keys() for name, targets in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_bench_imports_bench():
    programs = {str(path.name): imported_modules(path.read_text(encoding="utf-8")) for path in ROOT.glob("*.py")}
    importers = {name for name, targets in (IMPORTS | programs).items() if "bench" in map(room, targets)}
    assert {name for name in importers if room(name) != "bench"} == set()


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_a_room_below_training_needs_neither_lightning_nor_hydra(name):
    modules = [module for module in FILES if room(module) == name]
    assert modules
    packages = {target.partition(".")[0] for module in modules for target in reachable(module)}
    assert packages & FRAMEWORKS == set()


def test_the_codec_needs_nothing_of_the_data():
    assert "vae2ch.representation" in reachable("vae2ch.codec")
    assert {module for module in reachable("vae2ch.codec") if room(module) == "data"} == set()


def test_hydra_is_imported_by_the_command_line_only():
    hydra = {"hydra", "omegaconf"}
    users = {
        room(name) for name, targets in IMPORTS.items() if hydra & {target.partition(".")[0] for target in targets}
    }
    assert users - {"bench"} == {"cli"}


def test_settings_and_errors_need_the_standard_library_only():
    packages = {target.partition(".")[0] for name in ("config", "errors") for target in reachable(f"vae2ch.{name}")}
    assert packages & {"torch", "numpy", "lightning", "hydra", "omegaconf"} == set()


def core_files():
    return [path for name, path in FILES.items() if room(name) != "bench"]


def test_files_are_short():
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in core_files()}
    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_functions_are_short():
    functions = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in core_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(functions) > 100
    assert {name: count for name, count in functions.items() if count > MAX_FUNCTION_LINES} == {}


def test_the_table_of_the_design_document_has_the_same_layers():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|\s*(\d)\s*\|([^|]*)\|", text, re.MULTILINE)
    names = [(Path(name).stem, int(layer)) for layer, cell in rows for name in re.findall(r"`([^`]+)`", cell)]
    table = dict(name for name in names if name[0] != "train")  # train.py is a program beside the package
    assert table == LAYERS
