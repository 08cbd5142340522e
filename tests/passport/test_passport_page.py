"""The passport's facts and page: reproducible byte for byte, complete, self-contained, and strict about weights."""

import hashlib
import io
import json
import re
import shutil

import numpy as np
import pytest
import yaml
from passport_runs import made
from PIL import Image

from pellucid.errors import BadInput
from pellucid.passport import Claim, differences, passport_facts, read_other, to_json, write_passport
from pellucid.passport.limits import LIMITS, limits_of
from pellucid.passport.pdf import dated, find_chromium
from pellucid.passport.pictures import _palette, _png, gallery
from pellucid.report import read_run
from pellucid.report.contents import clean_table, legacy_table

CLAIMS = (Claim("gini", "at_least", 0.6, "<script>alert(1)</script>"), Claim("accuracy", "at_most", 0.1))


def written(path, out, **options):
    write_passport(read_run(path), out, **options)
    return out.read_bytes(), out.with_suffix(".json").read_bytes()


def test_the_same_directory_elsewhere_gives_the_same_bytes(measured, tmp_path):
    shutil.copytree(measured, tmp_path / "deeper" / "another name")
    first = written(measured, tmp_path / "one.html", claims=CLAIMS)
    second = written(tmp_path / "deeper" / "another name", tmp_path / "two.html", claims=CLAIMS)
    assert first == second
    assert str(measured).encode() not in first[0]


def test_a_run_without_a_known_role_is_not_called_after_its_folder(own, tmp_path):
    config = yaml.safe_load((own / "config.yaml").read_text())
    (own / "config.yaml").write_text(yaml.safe_dump(config | {"objective": {"name": "my_package.hinge"}}))
    shutil.copytree(own, tmp_path / "renamed")
    assert written(own, tmp_path / "a.html") == written(tmp_path / "renamed", tmp_path / "b.html")


def test_it_needs_nothing_else_and_runs_nothing(measured, tmp_path):
    page = written(measured, tmp_path / "one.html", claims=CLAIMS)[0].decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_every_result_has_its_number_interval_and_images(measured):
    run = read_run(measured)
    facts = passport_facts(run, ())
    rows = [*clean_table((run,)).rows, *legacy_table((run,)).rows]
    own = [row for row in rows if row.group != "Cost" and not row.group.startswith("Sanity")]
    assert [row["label"] for row in facts["results"]] == [row.label for row in own]
    for fact, row in zip(facts["results"], own, strict=True):
        assert fact["value"] == pytest.approx(row.cells[0].value, rel=1e-5)
        assert fact["images"] == row.cells[0].n
        assert fact["undefined"] == row.cells[0].dropped


def test_claims_are_tallied_and_their_absence_is_said(measured, tmp_path):
    assert "No claims were stated" in written(measured, tmp_path / "one.html")[0].decode()
    page = written(measured, tmp_path / "two.html", claims=CLAIMS)[0].decode()
    assert "2 claims: 1 pass, 1 fail" in page or "2 claims: 2 fail" in page


def test_every_exclusion_is_there(measured):
    facts = passport_facts(read_run(measured), ())
    told = {(one["from"], one["number"]) for one in facts["exclusions"]}
    assert ("all map metrics", 712) in told
    assert ("all map metrics", 2000 - 712 - 60) in told
    undefined = sum(row["undefined"] > 0 for row in facts["results"])
    listed = sum(one["from"].count("; ") + 1 for one in facts["exclusions"] if one["from"] != "all map metrics")
    assert listed == undefined > 0


def test_images_that_were_not_attacked_are_counted(own):
    file = own / "measurements" / "accuracy.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "".join(json.dumps(row | {"robust": row["robust"] if row["id"] < 500 else None}) + "\n" for row in rows)
    )
    facts = passport_facts(read_run(own), ())
    why = "not attacked: 500 test images were, drawn by seed"
    assert {"from": "robust accuracy", "number": 1500, "why": why} in facts["exclusions"]


def test_every_row_has_the_limits_of_its_metric(measured):
    facts = passport_facts(read_run(measured), ())
    bare = {"draws", "zero", "ties", "ssim_dropped", "ros_norm_dropped", "zero_maps"}
    for row in facts["results"]:
        assert limits_of([row["key"]]) or row["key"] in bare, row["key"]
    assert set(facts["limits"]) <= set(LIMITS)
    assert {"robust_accuracy", "gini", "ssim", "ros", "aopc", "legacy"} <= set(facts["limits"])


def test_the_random_map_stands_beside_the_result(measured):
    rows = {(row["group"], row["key"]): row for row in passport_facts(read_run(measured), ())["results"]}
    beside = rows["Gradient", "aopc_clean"]["sanity"]["random"]
    assert beside[0] == rows["Gradient", "aopc_random"]["shown"]


def test_hashes_are_those_of_the_files(measured):
    found = passport_facts(read_run(measured), ())["hashes"]
    for name in ("config.yaml", "manifest.json", "measurements/gradient.jsonl", "measurements/examples.npz"):
        assert found[name] == hashlib.sha256((measured / name).read_bytes()).hexdigest()


def test_other_weights_are_refused_and_missing_ones_are_said(own):
    assert "has the hash above" in passport_facts(read_run(own), ())["weights_file"]
    (own / "weights.safetensors").write_bytes(b"trained on")
    with pytest.raises(BadInput, match="is not the file that was measured"):
        passport_facts(read_run(own), ())
    (own / "weights.safetensors").unlink()
    assert "is not in the folder" in passport_facts(read_run(own), ())["weights_file"]


def test_differences_are_those_facts_that_differ(measured, tmp_path):
    here = passport_facts(read_run(measured), CLAIMS)
    assert differences(here, here) == []
    other = made(tmp_path / "other", "N", images=60)
    there = read_other(other, CLAIMS)
    found = {key: (one, two) for key, one, two in differences(here, there)}
    assert found["identity / Recipe"][1] == "N: natural training"
    assert found["results / Gradient / Gini"][0].startswith(here["results"][2]["shown"])
    assert "identity / Data" not in found
    (tmp_path / "other.json").write_text(to_json(there))
    assert differences(here, read_other(tmp_path / "other.html", CLAIMS)) == differences(here, there)
    page = written(measured, tmp_path / "one.html", against=there)[0].decode()
    assert "What differs from the passport of N: lenet" in page


def test_another_kind_of_file_is_no_passport(tmp_path):
    (tmp_path / "a.json").write_text('{"format": 1}')
    with pytest.raises(BadInput, match="not a Pellucid file"):
        read_other(tmp_path / "a.json", ())


def test_the_json_is_sorted_and_strict(measured, tmp_path):
    found = json.loads(written(measured, tmp_path / "one.html")[1], parse_constant=pytest.fail)
    assert list(found) == sorted(found)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (300, 301)], ids=["gray", "colour", "several-blocks"])
def test_pictures_are_what_they_show(shape):
    pixels = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(_png(pixels)))), pixels)
    if pixels.ndim == 2:
        palette = _palette(signed=True)
        shown = np.array(Image.open(io.BytesIO(_png(pixels, palette))).convert("RGB"))
        assert np.array_equal(shown, palette[pixels])


def test_maps_share_one_scale_and_signed_ones_diverge(measured):
    found = gallery(read_run(measured))
    assert found.names == ("Gradient", "Integrated gradients")
    assert len(found.examples) == 4
    assert len(found.scales) == 2
    assert all(uri.startswith("data:image/png;base64,") for uri in found.examples[0].maps)


def test_a_run_without_examples_has_none(own, tmp_path):
    (own / "measurements" / "examples.npz").unlink()
    assert "<h2>Examples" not in written(own, tmp_path / "one.html")[0].decode()


def test_dates_of_a_pdf_are_replaced_in_place():
    pdf = b"%PDF /CreationDate (D:20300101000000+00'00')/ModDate (D:20300101000000+00'00') rest"
    found = dated(pdf, "2026-01-02T03:04:05+02:00")
    assert len(found) == len(pdf)
    assert found.count(b"(D:20260102010405+00'00')") == 2
    assert dated(pdf, "nonsense").count(b"D:20000101000000") == 2


def test_without_a_browser_there_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="no Chromium was found: install Chromium"):
        find_chromium(None)
    with pytest.raises(BadInput, match="there is no program"):
        find_chromium(tmp_path / "chrome")
