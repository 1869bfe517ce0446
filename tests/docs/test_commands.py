"""Every command and snippet of the documents exists, and runs where its mark says so.

A block of bash, PowerShell or Python has a comment before it that says what it needs. The blocks
of a document that are marked "runs" are run in their order, in one new folder with scan.png and
scans/, on the tiny runs.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from command_lines import all_options, command_names, commands, is_command, problems, program
from documents import COMMANDS, DOCS, DOCUMENTS, ROOT, Block, all_blocks, blocks, code_spans, read
from PIL import Image

from oct_core.cli import main
from oct_core.scans.phantom import make_phantom
from oct_core.types import CLASSES

RUNS = "runs"
MARKS = {
    RUNS,
    "test line",
    "run by another test",
    "takes minutes",
    "opens the app",
    "needs a GPU",
    "needs a network",
    "needs OCT2017",
    "needs Windows",
    "needs your scans",
}
BLOCKS = all_blocks()
RUNNING = [path for path in DOCUMENTS if any(block.mark == RUNS for block in blocks(read(path)))]


def complaints(block: Block) -> list[str]:
    """What is wrong with a block, its mark aside."""
    if block.language not in COMMANDS:
        lines = block.text.splitlines()
        return [f"a command in a block of another language: {x}" for x in lines if is_command(x)]
    if block.mark not in MARKS:
        return [f"no mark that says what it needs, but {block.mark!r}"]
    if block.language == "python":
        compile(block.text, block.place, "exec")
        return []
    return [problem for words in commands(block) for problem in problems(words)]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.place)
def test_a_block_is_marked_and_its_commands_exist(block: Block) -> None:
    assert not complaints(block)


def test_commands_inside_sentences_exist() -> None:
    spans = [(path.name, span) for path in DOCUMENTS for span in code_spans(read(path))]
    lines = [(name, span) for name, span in spans if is_command(f"{span} ")]
    assert len(lines) > 10
    found = [(name, span, problems(span.split())) for name, span in lines]
    assert not [each for each in found if each[2]]


def test_options_inside_sentences_exist() -> None:
    """An option alone, such as ``--resume``, is one of some command."""
    found = {
        (path.name, word)
        for path in DOCUMENTS
        for span in code_spans(read(path))
        for word in span.split()[:1]
        if word.startswith("--") and word != "--"
    }
    assert len(found) > 20
    assert not [each for each in found if each[1].split("=")[0] not in all_options()]


def test_every_command_has_its_line() -> None:
    assert set(command_names()) <= set(code_spans(read(DOCS / "command_line.md")))


def test_every_benchmark_has_its_line() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert scripts <= set(code_spans(read(ROOT / "benchmarks" / "README.md")))


def test_the_test_line_is_what_ci_runs() -> None:
    """.ci/run takes it from README by the comment before it."""
    script = read(ROOT / ".ci" / "run")
    program = re.search(r"awk '(.+?)' README.md", script)
    assert program is not None
    found = subprocess.run(
        ["awk", program[1], "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    [block] = [block for block in BLOCKS if block.mark == "test line"]
    assert found.stdout == block.text
    assert len(block.text.splitlines()) == 1 and "-m pytest" in block.text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("python -m oct_core fly scan.png", "no command oct fly"),
        ("python -m oct_core predict scan.png --colour red", "oct predict has no --colour"),
        ("python benchmarks/nothing.py", "no command benchmarks/nothing.py"),
        ("python benchmarks/app.py --speed 3", "benchmarks/app.py has no --speed"),
        ("./train_all.sh FOLDER --wings 2", "train_all.sh has no --wings"),
        ("streamlit run streamlit_app.py --server.wing 1", "streamlit run has no --server.wing"),
        ("torchrun --wings 8 -m oct_core -- train vgg16", "torchrun has no --wings"),
        ("torchrun --nnodes 8 -m oct_core -- train vgg16 --wings 2", "oct train has no --wings"),
        ("OCT_DEVICE=cpu oct runs --wings", "oct runs has no --wings"),
        ("frobnicate --now", "no command frobnicate"),
        (".venv/bin/pip install -r requirements-wings.txt", "no file requirements-wings.txt"),
        ("pip install '.[wings]'", "no extra wings"),
    ],
)
def test_what_does_not_exist_is_noticed(text: str, complaint: str) -> None:
    assert complaints(Block("here", "bash", "needs a GPU", text)) == [complaint]


@pytest.mark.parametrize(
    "text", ["```bash\n{}\n```", "<!-- often -->\n```bash\n{}\n```", "```\n{}\n```"]
)
def test_a_block_without_a_mark_is_noticed(text: str) -> None:
    [block] = blocks(text.format("python -m oct_core runs"))
    assert complaints(block)


def test_the_mark_belongs_to_the_block_after_it() -> None:
    text = "<!-- runs -->\n```bash\na\n```\n\n```bash\nb\n```\n"
    assert [block.mark for block in blocks(text)] == ["runs", ""]


@pytest.fixture
def folder(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands: scan.png, scans/, and the tiny runs in checkpoints/."""
    (tmp_path / "scans").mkdir()
    for seed, label in enumerate(CLASSES):
        scan = Image.fromarray(make_phantom(label, seed, 96, 120).pixels)
        scan.save(tmp_path / "scans" / f"{seed}.png")
    scan.save(tmp_path / "scan.png")
    (tmp_path / "checkpoints").mkdir()
    for run in demo_root.iterdir():
        (tmp_path / "checkpoints" / run.name).symlink_to(run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path


def run_command(words: list[str]) -> None:
    name, rest = program(words)
    called, _, command = name.partition(" ")
    assert called == "oct", f"only commands of the library may be marked {RUNS!r}, not {name}"
    assert main([command, *rest]) == 0, words


def run_block(block: Block) -> None:
    if block.language == "python":
        exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
    for words in commands(block) if block.language == "bash" else []:
        run_command(words)


@pytest.mark.parametrize("path", RUNNING, ids=lambda path: path.stem)
def test_what_is_marked_runs(path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(folder.iterdir())
    for block in blocks(read(path), path.name):
        if block.mark == RUNS:
            capsys.readouterr()
            run_block(block)
            assert capsys.readouterr().out, f"{block.place} prints nothing"
    assert path.stem == "python" or set(folder.iterdir()) > before


@pytest.mark.usefixtures("folder")
def test_a_command_that_fails_is_noticed() -> None:
    with pytest.raises(AssertionError, match="nowhere"):
        run_command(["python", "-m", "oct_core", "predict", "nowhere", "--out", "answers.csv"])
