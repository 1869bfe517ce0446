"""What the app uses of Streamlit's, Starlette's and Python's inside: that it is there, and that it
does what a promise needs. A test that fails after an upgrade says which promise is at stake.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import urllib.parse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.formparsers import MultiPartParser
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFileRec

from pages.ui.app import streamlit_inside
from pages.ui.app.streamlit_inside import (
    StreamlitChangedError,
    check_inside,
    forget_addresses,
    forget_upload,
    is_gone,
    keep_uploads_in_memory,
    reach,
)

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "pages/ui/app/streamlit_inside.py"
# Of streamlit, what its documentation names; DeltaGenerator is the type of every container.
PUBLIC = {"streamlit", "streamlit.delta_generator"}


def test_every_private_part_is_there() -> None:
    check_inside()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("starlette.formparsers.MultiPartParser", "spool_max_size"),
        (
            "streamlit.runtime.memory_uploaded_file_manager.MemoryUploadedFileManager",
            "remove_file",
        ),
        ("streamlit.runtime.Runtime", "_get_async_objs"),
        ("streamlit.runtime.Runtime", "media_file_mgr"),
        ("streamlit.runtime.caching.ttl_cache.TTLCache", "expire"),
        ("streamlit.runtime.app_session.AppSession", "shutdown"),
        ("streamlit.runtime.app_session.AppSession", "flush_browser_queue"),
        ("urllib.parse", "clear_cache"),
    ],
)
def test_a_private_part_that_is_gone_stops_the_app(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(f"{owner}.{name}")
    with pytest.raises(StreamlitChangedError, match="needed to keep a promise"):
        check_inside()


def test_an_error_names_the_promise() -> None:
    with pytest.raises(StreamlitChangedError, match=r"SimpleNamespace has no a\.b.*: scans go\."):
        reach(SimpleNamespace(a=1), "a.b", "scans go")


def test_a_large_upload_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its effect on the server's parser: test_uploads.py."""
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1024)
    keep_uploads_in_memory(5000)
    assert MultiPartParser.spool_max_size == 5000
    keep_uploads_in_memory(10)
    assert MultiPartParser.spool_max_size == 5000, "never less than before"


def test_the_server_forgets_its_copy_of_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MemoryUploadedFileManager("/upload")
    for file_id in ("1", "2"):
        manager.add_file("tab", UploadedFileRec(file_id, "scan.png", "image/png", b"pixels"))
    context = SimpleNamespace(uploaded_file_mgr=manager, session_id="tab")
    monkeypatch.setattr("streamlit.runtime.scriptrunner.get_script_run_ctx", lambda: context)
    forget_upload(["1"])
    assert [file.file_id for file in manager.get_files("tab", ["1", "2"])] == ["2"]
    context.uploaded_file_mgr = object()
    with pytest.raises(StreamlitChangedError, match="Streamlit keeps uploads in object"):
        forget_upload(["2"])


def test_the_context_of_a_script_knows_its_uploads() -> None:
    fields = ScriptRunContext.__dataclass_fields__
    assert {"uploaded_file_mgr", "session_id"} <= fields.keys()


def test_a_file_that_the_server_dropped_is_told_from_one_that_is_there() -> None:
    assert is_gone(DeletedFile("1")) and not is_gone(SimpleNamespace(file_id="1"))


def test_no_parsed_address_is_kept() -> None:
    urllib.parse.urlsplit("https://example.org/one")
    cache: Any = urllib.parse.urlsplit
    assert cache.cache_info().currsize > 0
    forget_addresses()
    assert cache.cache_info().currsize == 0


LAST_TAB = """
import asyncio, gc, time, weakref
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from pages.ui.app import streamlit_inside

streamlit_inside.EVERY_SECONDS = 0.1


class Component(dict):
    # as Streamlit shows the state of a component with triggers
    __getattr__ = dict.get


class Scan:
    closed = False

    def close_all(self):
        Scan.closed = True


async def main():
    runtime = Runtime(RuntimeConfig(
        script_path="streamlit_app.py",
        media_file_storage=MemoryMediaFileStorage("/media"),
        uploaded_file_manager=MemoryUploadedFileManager("/upload"),
        session_storage=MemorySessionStorage(ttl_seconds=1),
    ))
    await runtime.start()
    if {look}:
        streamlit_inside.end_closed_tabs()
    client = type("Client", (), {"write_forward_msg": lambda self, message: None})()
    tab = runtime.connect_session(client, {})
    session = runtime._session_mgr.get_active_session_info(tab).session
    scan = Scan()
    alive = weakref.ref(scan)
    for number in range(50):  # they come in any order
        session.session_state[f"component {number}"] = Component()
    session.session_state["scan"] = scan
    del scan, session
    runtime.disconnect_session(tab)
    until = time.monotonic() + {seconds}
    while alive() is not None and time.monotonic() < until:
        await asyncio.sleep(0.1)
        gc.collect()
    print("closed" if Scan.closed else "open", "alive" if alive() is not None else "gone")
    runtime.stop()
    await runtime.stopped


asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("look", "outcome", "seconds"), [(True, "closed gone", 30), (False, "open alive", 4)]
)
def test_the_last_closed_tab_ends_when_its_time_is_over(
    look: bool, outcome: str, seconds: int
) -> None:
    """With Streamlit's own runtime; without our look it would stay."""
    code = LAST_TAB.replace("{look}", str(look)).replace("{seconds}", str(seconds))
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout.strip() == outcome, result.stderr


def sources() -> list[Path]:
    return [ROOT / "streamlit_app.py", *sorted((ROOT / "pages").rglob("*.py"))]


def private_uses(tree: ast.AST) -> list[str]:
    """Imports of and attributes inside streamlit and starlette that they do not document, and
    private attributes of anything but ``self``.
    """
    uses: list[str] = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            public = node.module in PUBLIC and all(alias.name[0] != "_" for alias in node.names)
            if public and not {f"{node.module}.{a.name}" for a in node.names} & {
                "streamlit.runtime"
            }:
                names = []
        elif isinstance(node, ast.Attribute):
            inside = isinstance(node.value, ast.Name) and node.value.id in ("st", "streamlit")
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if (inside and node.attr in ("runtime", "web", "proto", "elements")) or (
                node.attr[0] == "_" and not node.attr.startswith("__") and not own
            ):
                uses.append(f".{node.attr} in line {node.lineno}")
        uses += [
            f"{name} in line {node.lineno}"  # type: ignore[attr-defined]
            for name in names
            if name.split(".")[0] in ("streamlit", "starlette") and name not in PUBLIC
        ]
    return uses


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_other_file_uses_anything_private(path: Path) -> None:
    uses = private_uses(ast.parse(path.read_text(encoding="utf-8")))
    if path.relative_to(ROOT).as_posix() == INSIDE:
        assert uses, "this test sees nothing"
    else:
        assert not uses


def test_every_use_says_why() -> None:
    public = [
        value
        for name, value in vars(streamlit_inside).items()
        if callable(value)
        and not name.startswith("_")
        and value.__module__ == streamlit_inside.__name__
    ]
    assert len(public) >= 7 and all((value.__doc__ or "").strip() for value in public)


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_caches_are_declared_in_one_place(path: Path) -> None:
    names = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    here = path.relative_to(ROOT).as_posix() == "pages/ui/app/cache.py"
    assert bool(names & {"cache_data", "cache_resource"}) == here
