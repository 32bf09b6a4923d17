"""Npz files that several threads open."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from synthct.preprocessing.npz_files import opened_npz


def test_a_thread_waits_until_another_has_read_its_file(tmp_path):
    np.savez(tmp_path / "P.npz", values=np.arange(3))
    reading: set[int] = set()
    at_once: list[int] = []

    def read(_: int) -> list[int]:
        with opened_npz(tmp_path / "P.npz") as arrays:
            reading.add(threading.get_ident())
            at_once.append(len(reading))
            time.sleep(0.005)
            values = arrays["values"].tolist()
            reading.discard(threading.get_ident())
        return values

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(12))) == [[0, 1, 2]] * 12
    assert set(at_once) == {1}


def test_a_damaged_file_does_not_keep_the_next_from_being_read(tmp_path):
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    np.savez(tmp_path / "P.npz", values=np.arange(3))
    for name, is_read in (("damaged.npz", False), ("P.npz", True)):
        try:
            with opened_npz(tmp_path / name) as arrays:
                assert is_read and arrays["values"].size == 3
        except ValueError:
            assert not is_read
