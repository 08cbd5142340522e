import json
import math

import pytest

from pellucid import files
from pellucid.errors import BadInput, RunFailed


def test_a_failed_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.json"
    files.write_json(path, {"x": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left on device; what was there before is unchanged"):
        files.write_json(path, {"x": 2})
    assert files.read_json(path) == {"x": 1}
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_nan_becomes_null(tmp_path):
    rows = [{"a": math.nan, "b": [1.0, math.inf], "c": {"d": -math.inf}}]
    files.write_json_lines(tmp_path / "r.jsonl", rows)
    assert files.read_json_lines(tmp_path / "r.jsonl") == [{"a": None, "b": [1.0, None], "c": {"d": None}}]


def test_damage_is_named_with_its_line(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"a": 1}) + "\n{broken\n")
    with pytest.raises(BadInput, match=r"r\.jsonl is damaged in line 2"):
        files.read_json_lines(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="cannot read"):
        files.read_json_lines(path)
    with pytest.raises(BadInput, match="cannot read"):
        files.read_json(tmp_path / "absent.json")
