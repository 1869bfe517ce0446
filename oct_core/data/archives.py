"""Scans inside one file: a ZIP archive of class folders, and arrays as MedMNIST publishes them."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oct_core.data.parts import SPLITS
from oct_core.errors import DataError, ScanError
from oct_core.scans import HEAD, PassedOver, check_bytes, is_hidden_folder
from oct_core.types import CLASSES, GrayImage
from oct_core.words import say

ZIP, ARRAYS = ".zip", ".npz"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError)
_BLOCK = 2**20


def is_archive(source: Path, suffix: str) -> bool:
    """Whether ``source`` is a file whose name ends so."""
    return source.suffix.lower() == suffix and source.is_file()


@dataclass(frozen=True)
class ZipMember:
    """A file of a ZIP archive. name : as the archive has it."""

    archive: Path
    name: str

    def checksum(self) -> tuple[int, int]:
        """(bytes, CRC-32) of the file, as the archive's table says."""
        info = _open_zip(*_state(self.archive)).getinfo(self.name)
        return info.file_size, info.CRC

    def read(self) -> bytes:
        """The file's bytes; raises ScanError for one that is damaged, locked or larger than is
        accepted.
        """
        try:
            opened = _open_zip(*_state(self.archive))
            check_bytes(opened.getinfo(self.name).file_size)
            return opened.read(self.name)
        except (*_DAMAGED, NotImplementedError, RuntimeError) as error:
            raise ScanError(
                "the file in the ZIP archive cannot be read ({reason}); unpack the archive and "
                "give its folder",
                reason=error,
            ) from error

    def head(self) -> bytes:
        """The first bytes, as many as tell a format; none of what cannot be read."""
        try:
            with _open_zip(*_state(self.archive)).open(self.name) as file:
                return file.read(HEAD)
        except (*_DAMAGED, NotImplementedError, RuntimeError):
            return b""


@dataclass(frozen=True)
class ArrayRow:
    """A scan of an .npz. array : the name of the array of scans. row : from 0."""

    archive: Path
    array: str
    row: int

    def read(self) -> GrayImage:
        """uint8 (H, W). Rows are quickest read in ascending order. Raises DataError for a damaged
        file.
        """
        try:
            return _open_rows(*_state(self.archive), self.array).read(self.row)
        except _DAMAGED as error:
            raise _refuse(self.archive, error) from error


def _state(archive: Path) -> tuple[Path, int, int]:
    """What an opened file is kept by: a process never uses one that another opened (both would
    move its one position), nor an older file of the same name.
    """
    return archive, os.getpid(), archive.stat().st_mtime_ns


@lru_cache(maxsize=2)
def _open_zip(archive: Path, process: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)


@lru_cache(maxsize=len(SPLITS))
def _open_rows(archive: Path, process: int, changed: int, array: str) -> _Rows:
    return _Rows(archive, array)


def walk_zip(source: Path, passed: PassedOver) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every folder of a ZIP archive as ``scans.walk`` gives those of a disk, below ``source``: the
    sorted names of its files, and these as the archive has them.

    Raises DataError for what is no ZIP archive.
    """
    try:
        with zipfile.ZipFile(source) as opened:
            members = [info.filename for info in opened.infolist() if not info.is_dir()]
    except NotImplementedError as error:
        raise DataError(
            "{source} is a ZIP archive of a kind that cannot be read ({reason}); unpack it and "
            "give its folder",
            source=source,
            reason=error,
        ) from error
    except _DAMAGED as error:
        raise _refuse(source, error) from error
    folders: dict[PurePosixPath, list[tuple[str, str]]] = {}
    hidden: dict[PurePosixPath, None] = {}
    for member in sorted(members):
        place = _place_of(member)
        above = [folder for folder in place.parents if is_hidden_folder(folder.name)]
        if ".." in place.parts:
            passed.outside.append(source / place)
        elif above:
            hidden.setdefault(above[-1])
        else:
            folders.setdefault(place.parent, []).append((place.name, member))
    passed.hidden += [source / folder for folder in hidden]
    for folder, files in sorted(folders.items()):
        yield source / folder, [name for name, _ in files], [member for _, member in files]


def _place_of(member: str) -> PurePosixPath:
    """Where a member belongs; some programs write backslashes, or a start of "/" or "./"."""
    return PurePosixPath(member.replace("\\", "/").lstrip("/"))


def find_member(archive: Path, place: PurePosixPath) -> ZipMember:
    """The file that ``walk_zip`` gives at ``place`` below ``archive``, or one that is not there."""
    try:
        names = _open_zip(*_state(archive)).namelist()
    except (*_DAMAGED, NotImplementedError):  # told when it is read
        names = []
    found = (name for name in names if name == str(place) or _place_of(name) == place)
    return ZipMember(archive, next(found, str(place)))


def _refuse(source: Path, reason: object) -> DataError:
    return DataError(
        "{source} cannot be read ({reason}); it may be damaged or cut off: download it again",
        source=source,
        reason=reason,
    )


@dataclass(frozen=True)
class ArrayPart:
    """One part of an .npz. name : of SPLITS. array : its array's name. labels : int64 (N,), places
    in CLASSES. height, width : of the scans, in pixels.
    """

    name: str
    array: str
    labels: NDArray[np.int64]
    height: int
    width: int


def find_arrays(source: Path) -> list[ArrayPart]:
    """The parts of an .npz as MedMNIST writes OCTMNIST: arrays train_images, val_images and
    test_images, uint8 (N, H, W), and train_labels ..., (N, 1) or (N,), 0 CNV to 3 NORMAL.

    Only headers and labels are read. Raises DataError for what is no such file.
    """
    try:
        if not zipfile.is_zipfile(source):
            raise ValueError(say("it is no archive"))
        with np.load(source, allow_pickle=False) as arrays:
            names = set(arrays.files)
            needed = [f"{part}_{kind}" for part in SPLITS for kind in ("images", "labels")]
            if missing := [name for name in needed if name not in names]:
                raise DataError(
                    "{source} has no array {missing}; expected an OCTMNIST file of MedMNIST with "
                    "{needed}",
                    source=source,
                    missing=missing[0],
                    needed=", ".join(needed),
                )
            parts = [_part(source, name, arrays[f"{name}_labels"]) for name in SPLITS]
    except _DAMAGED as error:
        raise _refuse(source, error) from error
    found = np.unique(np.concatenate([part.labels for part in parts])).tolist()
    if found != list(range(len(CLASSES))):
        raise DataError(
            "{source} has the labels {found}, and OCTMNIST's are 0 to 3 ({classes}); other files "
            "of MedMNIST show no B-scans",
            source=source,
            found=", ".join(map(str, found[:12])),
            classes=", ".join(CLASSES),
        )
    return parts


def _part(source: Path, name: str, labels: NDArray[Any]) -> ArrayPart:
    array = f"{name}_images"
    shape, dtype = _Rows(source, array).about()
    if dtype != np.uint8 or len(shape) != 3 or min(shape) < 1:
        raise DataError(
            "{source}: {array} is {dtype} {shape}; expected gray uint8 scans (number, height, "
            "width)",
            source=source,
            array=array,
            dtype=dtype,
            shape=shape,
        )
    flat = labels.reshape(-1)
    if not np.issubdtype(labels.dtype, np.integer) or labels.size != shape[0]:
        raise DataError(
            "{source}: {array} has {number} scans, its labels are {dtype} {shape}; expected one "
            "whole number a scan",
            source=source,
            array=array,
            number=shape[0],
            dtype=labels.dtype,
            shape=labels.shape,
        )
    return ArrayPart(name, array, flat.astype(np.int64), shape[1], shape[2])


class _Rows:
    """The rows of one array of an .npz, read one by one: the array is compressed and, at 224
    pixels, larger than memory. Rows that were passed over are read and dropped.
    """

    def __init__(self, archive: Path, array: str) -> None:
        self._archive, self._array = archive, array
        self._open()

    def _open(self) -> None:
        with zipfile.ZipFile(self._archive) as archive:
            # The member keeps the archive open until it is closed itself.
            self._file = archive.open(f"{self._array}.npy")
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        self._shape, fortran, self._dtype = readers[np.lib.format.read_magic(self._file)](
            self._file
        )
        if fortran:
            raise ValueError(say("its rows do not lie one after the other"))
        self._next = 0

    def about(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """(shape, dtype) of the whole array."""
        return self._shape, self._dtype

    def read(self, row: int) -> GrayImage:
        """uint8 (H, W)."""
        height, width = self._shape[1:]
        if row < self._next:
            self._file.close()
            self._open()
        self._skip((row - self._next) * height * width)
        data = self._file.read(height * width)
        if len(data) < height * width:
            raise EOFError(say("it ends too early"))
        self._next = row + 1
        return np.frombuffer(data, np.uint8).reshape(height, width)

    def _skip(self, size: int) -> None:
        while size > 0:
            read = len(self._file.read(min(size, _BLOCK)))
            if not read:
                return
            size -= read
