"""Command lines of documents: what they call, and whether that and its options exist."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache

from documents import ROOT, Block
from torch.distributed import run as torchrun

from oct_core.cli import main

_PYTHON = ("python", "python3", "py")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S+")
_OPTION = re.compile(r"--[a-z][\w-]*(?:\.\w+)?")
_LISTED = re.compile(r"^ +(?:-\w[, ]+)?(--[a-z][\w.-]*)(?:[ ,/]+(--[a-z][\w-]*))?", re.MULTILINE)
"""An option at the start of a line of --help, with the second name that it may have."""
_OURS = re.compile(
    r"(python3? (-m oct_core(?= [a-z])|benchmarks/\S+\.py)|\./train_all\.sh|streamlit run) "
)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
OTHERS = ("pip", "git", "ruff", "mypy", "lint-imports", "cd")
"""Programs of others, whose options are not looked at."""


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a block; comments are dropped, lines that go on are joined."""
    text = block.text.replace("\\\n", " ")
    if block.language == "powershell":
        text = text.replace("\\", "/").replace("; ", "\n")
    lines = [part for line in text.splitlines() for part in line.split(" && ")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def is_command(span: str) -> bool:
    """Whether code inside a sentence is a command line of this project, with what it calls."""
    return bool(_OURS.match(span))


def program(words: list[str]) -> tuple[str, list[str]]:
    """What is called, and with which words: ("oct train", [...]), ("benchmarks/app.py", [...])."""
    words = words[next(i for i, word in enumerate(words) if not _ASSIGNMENT.fullmatch(word)) :]
    name = re.sub(r"^\.venv/(bin|Scripts)/|^\./", "", words[0])
    if name in _PYTHON and words[1:2] == ["-m"]:
        name, words = words[2], words[2:]
    elif name in _PYTHON:
        name, words = words[1], words[1:]
    name = {"oct_core": "oct"}.get(name, name)
    if name in ("oct", "streamlit"):
        return f"{name} {words[1]}", words[2:]
    return name, words[1:]


def _help(name: str) -> str:
    """What --help of a command prints; "" if there is no such command."""
    called, _, command = name.partition(" ")
    if called == "oct":
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            status = main([*command.split(), "--help"])
        return out.getvalue() if status == 0 else ""
    if called == "torchrun":
        return torchrun.get_args_parser().format_help()
    call = {
        "streamlit": [sys.executable, "-m", "streamlit", command, "--help"],
        "train_all.sh": [str(ROOT / "train_all.sh"), "--help"],
    }[called]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def _script_options(name: str) -> set[str]:
    """The options that a script of ours gives to argparse."""
    path = ROOT / name
    if not path.is_file():
        return set()
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
    ]
    values = [each.value for call in calls for each in call.args if isinstance(each, ast.Constant)]
    return {str(value) for value in values} | {"--help"}


@cache
def options(name: str) -> set[str]:
    """The options of a command; empty if there is none of that name."""
    if name.endswith(".py"):
        return _script_options(name)
    text = _help(name)
    if name == "train_all.sh":  # what it does not know goes to train
        return set(_OPTION.findall(text)) | options("oct train")
    found = {each for pair in _LISTED.findall(text) for each in pair if each}
    return found | {each.replace("_", "-") for each in found}


def command_names() -> list[str]:
    """The commands of the library."""
    listed = _help("oct").split("Commands:")[1]
    return re.findall(r"^  ([a-z][a-z-]+) ", listed, re.MULTILINE)


@cache
def all_options() -> set[str]:
    """The options of every command, script and of the app."""
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    names = [f"oct {name}" for name in command_names()]
    names += [*(f"benchmarks/{path.name}" for path in scripts), "train_all.sh", "torchrun"]
    return {"--help", "--data"}.union(*map(options, names))


def problems(words: list[str]) -> list[str]:
    """What is wrong with a command line: no such command, option or file."""
    name, rest = program(words)
    if name == "torchrun" and "--" in rest:
        place = rest.index("-m")
        return _unknown(name, rest[:place]) + problems(
            ["python", *rest[place : place + 2], *rest[place + 3 :]]
        )
    missing = [
        f"no file {word}"
        for word in rest
        if re.fullmatch(r"(tests/\S+|requirements\S*\.txt|streamlit_app\.py)", word)
        and not (ROOT / word).exists()
    ]
    missing += [
        f"no extra {found[1]}"
        for word in rest
        if (found := re.fullmatch(r"\.\[(\w+)\]", word)) and found[1] not in EXTRAS
    ]
    if name in (*OTHERS, "venv", "pytest", "sphinx"):
        return missing
    return missing + _unknown(name, rest[: rest.index("--")] if "--" in rest else rest)


def _unknown(name: str, words: list[str]) -> list[str]:
    known = name.split()[0] in ("oct", "streamlit", "train_all.sh", "torchrun") or name.endswith(
        ".py"
    )
    if not known or not options(name):
        return [f"no command {name}"]
    given = [found[0] for word in words if (found := _OPTION.match(word))]
    return [f"{name} has no {option}" for option in given if option not in options(name)]
