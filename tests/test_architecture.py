"""The house's rules that a reader relies on: who imports whom, when, and what no file holds."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("assistant", "models", "hardware")
CONTRACTS = {"turn", "events", "ports", "flow", "errors"}
"""What models/ and hardware/ may know of assistant/."""
HEAVY = {
    "onnxruntime", "cv2", "av", "sounddevice", "faster_whisper", "ctranslate2", "llama_cpp",
    "pocketsphinx", "rapidocr", "piper",
}  # fmt: skip
"""Libraries that take long to import or need the system's: only what uses them may."""
LIGHT = HEAVY | {"numpy", "PIL", "pydantic", "sqlite3", "asyncio"}
"""What `import assistant` itself does without."""
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all that the tree imports; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports here are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def engines_by_name(tree: ast.AST) -> Iterator[str]:
    """Modules that strings such as "models.ocr:Rapid" name: a child process imports them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^((?:models|hardware)\.\w+):\w+$", node.value)


def at_import(tree: ast.Module) -> Iterator[str]:
    """What is imported with the module: not inside functions, not for type checkers only."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        waiting += ast.iter_child_nodes(node)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_the_three_packages_are_here():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == {*PACKAGES}


def test_the_readers_of_imports_see_them():
    tree = ast.parse(
        "import cv2\nif TYPE_CHECKING:\n  import av\ndef f():\n  from piper import x\n"
    )
    assert set(imports(tree)) == {"cv2", "av", "piper.x"}
    assert set(at_import(tree)) == {"cv2"}
    assert list(engines_by_name(ast.parse("f('models.ocr:Rapid')"))) == ["models.ocr"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_inwards(path: Path):
    package = path.relative_to(ROOT).parts[0]
    tree = parsed(path)
    for imported in {*imports(tree), *engines_by_name(tree)}:
        theirs, *rest = imported.split(".")
        if theirs not in PACKAGES or theirs == package:
            continue
        if package == "assistant":
            assert name_of(path) == "assistant/assemble.py", f"{imported} is for assemble.py"
        else:
            assert theirs == "assistant", f"{package} may not know {imported}"
            assert rest[0] in CONTRACTS, f"{package} may not know {imported}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_wait_until_they_are_used(path: Path):
    assert not {each.split(".")[0] for each in at_import(parsed(path))} & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_engines_and_devices_print_nothing(path: Path):
    if path.relative_to(ROOT).parts[0] != "assistant":
        calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
        assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize(
    ("imported", "without"),
    [
        ("assistant", LIGHT),
        ("assistant.__main__", HEAVY | {"numpy", "PIL", "pydantic"}),
        ("assistant.run", HEAVY),
        ("assistant.doctor", HEAVY),
    ],
)
def test_what_an_import_pulls_in(imported: str, without: set[str]):
    code = f"import json, sys, {imported}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {name.split(".")[0] for name in json.loads(done.stdout)} & without


def kept_files() -> list[Path]:
    """The files of the repository, and those that are about to be."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_index():
    # In pieces, since this file is one of them.
    words = (
        "pypi" + ".org",
        "python" + "hosted",
        "index" + "-url",
        "find" + "-links",
        "/sim" + "ple",
    )
    index = re.compile("|".join(map(re.escape, words)).encode())
    assert [name_of(path) for path in kept_files() if index.search(path.read_bytes())] == []


def test_no_file_knows_where_this_checkout_lies():
    if len(ROOT.parts) < 3:
        pytest.skip(f"{ROOT} is too short to tell from other words")
    here = re.compile(re.escape(str(ROOT)).encode() + rb"(?![\w.-])")
    assert [name_of(path) for path in kept_files() if here.search(path.read_bytes())] == []
