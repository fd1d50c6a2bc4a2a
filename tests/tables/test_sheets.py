"""Tables from records: marks, missing cells, refused records, and the same table in four formats."""

import csv
import io
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avadclip import config, recipes
from avadclip.config import Params
from avadclip.evaluation.published import published
from avadclip.recipes import read
from avadclip.tables.comparing import PUBLISHED_WEIGHTS, Found
from avadclip.tables.layout import TABLES
from avadclip.tables.records import Record
from avadclip.tables.rendering import FORMATS
from avadclip.tables.sheets import Cell, Sheet, sheet
from tests.support.record_factory import PROTOCOL, RECIPES, make_data, make_record

FUSIONS = ("fusion_cross_attention", "fusion_add", "fusion_concat_linear", "audio_visual")
PUBLISHED = {"visual": RECIPES["visual"] | {"stride": 16, "weights_sha256": PUBLISHED_WEIGHTS}}


def params_of(*variants: str, kind: str = "table", across: Any = None) -> Params:
    features = {"weights": {"sha256": None}, "precision": "float32"}
    dataset = {"videos": "v", "annotations": "a", "classes": ["normal", "riot"], "audio": features}
    named = {name: {"kind": "student"} for name in ("audio_visual", "visual_student", *variants)}
    datasets = {
        name: dataset | {"kind": one, "visual": features | {"stride": 24}}
        for name, one in (("demo", kind), ("other", "cctv_fights"))
    }
    score = {"variants": list(variants), "across": across or {}}
    return config.validate({"datasets": datasets, "train": named, "score": score}, "params.yaml")


def made(number: str, *records: Record, foreign: tuple[Found, ...] = (), params: Params | None = None) -> Sheet:
    return sheet(number, [*records, make_record("random", [5.0], [0.1])], foreign, params or params_of())


def marks(found: Sheet, column: str) -> list[str]:
    index = found.header.index(column)
    return [cells[index].mark for _, cells in found.rows]


def test_each_row_has_its_number_its_deviation_and_its_interval() -> None:
    aps = [70.0, 71.0, 75.0]
    (row,) = [
        cells
        for label, cells in made("VII", make_record("fusion_add", aps, [10.0, 11.0, 13.0])).rows
        if "addition" in label
    ]
    deviation = (sum((ap - sum(aps) / 3) ** 2 for ap in aps) / 2) ** 0.5
    assert row[0] == Cell(72.0, pytest.approx(deviation), (70.0, 74.0))


@pytest.mark.parametrize("aps", list(product([50.0, 60.004, 60.0], [50.0, 70.0], [40.0, 60.0])))
def test_best_and_second_are_marked_by_what_is_read(aps: tuple[float, ...]) -> None:
    records = [make_record(name, [ap], [1.0]) for name, ap in zip(FUSIONS, aps, strict=False)]
    levels = sorted({f"{ap:.2f}" for ap in aps}, key=float, reverse=True)
    expected = ["best" if f"{ap:.2f}" == levels[0] else "second" if f"{ap:.2f}" == levels[1] else "" for ap in aps]
    found = made("VII", *records)
    assert marks(found, "AP") == [*expected, ""]  # the last is missing
    assert marks(found, "AVG") == [""] * 4  # all the same: none is best


def test_missing_cells_come_with_the_command_that_fills_them() -> None:
    params = params_of("fusion_add")
    found = made("VII", make_record("audio_visual", [70.0], [9.0]), params=params)
    words = {label: cells[0].word for label, cells in found.rows}
    assert words["element-wise addition"] == "missing"
    assert words["adaptive fusion"] == ""
    assert (
        "missing: fusion_cross_attention, fusion_concat_linear; filled by"
        " `avadclip recipe table_vii --add --dataset demo` and `dvc repro evaluate@demo`"
    ) in found.lines
    assert "missing: fusion_add; filled by `dvc repro evaluate@demo`" in found.lines


def test_systems_without_public_code_are_marked_whatever_their_row() -> None:
    one, theirs = (make_record("mine", [ap], settings={"kind": "tpwng"}) for ap in (70.0, 71.0))
    found = made("I", one, make_record("vadclip", [60.0], [9.0]), foreign=(Found(theirs, "../theirs"),))
    labels = [label for label, _ in found.rows]
    assert labels[-2:] == ["mine (not in the paper) [B]", "mine (not in the paper) [B] (../theirs)"]
    marked = {label.split(" (")[0]: label[-3:] for label in labels[:-2] if "[" in label}
    expected = {"AVVD": "D", "Ju et al.": "D", "TPWNG": "B", "FVAI": "C", "CUPL": "C", "AVCL": "C"}
    assert marked == {name: f"[{mark}]" for name, mark in expected.items()}
    (line,) = [line for line in found.lines if "not a reproduction" in line]
    assert line.endswith(": [B] from the paper, [C] from the paper's abstract, [D] for the most part ours")
    assert not [line for line in made("VII").lines if "not a reproduction" in line]


def test_each_missing_row_has_a_recipe() -> None:
    for number, table in TABLES.items():
        text = read(f"table_{number.lower()}") + read("zoo")
        for row in table.rows:
            assert row.variant == "random" or f"{row.variant}:" in text, row.label
    assert {f"table_{number.lower()}" for number in TABLES} == recipes.TABLES.keys()


def test_a_variant_that_is_another_detector_fills_no_row() -> None:
    found = made("VII", make_record("fusion_add", [70.0], [9.0], settings={"fusion": "adaptive"}))
    assert {cells[0].word for _, cells in found.rows} == {"missing"}
    assert "missing: fusion_add is not the detector of this row: fusion: 'adaptive'" in found.lines


def test_a_class_agnostic_detector_has_empty_localisation_and_no_zero() -> None:
    found = made("III", make_record("deep_mil", [70.0]), make_record("vadclip", [70.0], [9.0]))
    rows = dict(found.rows)
    assert rows["DeepMIL (CVPR 2018), visual"] == (Cell(),) * 6
    assert [cell.value for cell in rows["VadCLIP (AAAI 2024), visual"]] == pytest.approx([11, 10, 9, 8, 7, 9])
    assert "empty cells: a detector that names no classes has no localisation" in found.lines


def test_members_that_the_paper_does_not_have_are_shown_as_such() -> None:
    found = made("I", make_record("pel4vad", [70.0]), make_record("fusion_add", [71.0], [9.0]))
    assert [label for label, _ in found.rows if "not in the paper" in label] == ["pel4vad (not in the paper)"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data": make_data(sha256="e" * 64)}, "data set eeeeeeee, here dddddddd"),
        ({"recipes": RECIPES | {"visual": {"stride": 16}}}, "visual features"),
        ({"protocol": PROTOCOL | {"iou_thresholds": [0.5]}}, "protocol"),
    ],
)
@pytest.mark.parametrize("is_foreign", [True, False])
def test_records_that_are_not_comparable_are_never_mixed_in(change: dict, expected: str, is_foreign: bool) -> None:
    ours = [make_record("audio_visual", [70.0], [9.0]), make_record("fusion_concat_linear", [68.0], [9.0])]
    other = make_record("fusion_add", [99.0], [99.0], **change)
    theirs = (Found(other, "../theirs"),) if is_foreign else ()
    found = made("VII", *ours, *([] if is_foreign else [other]), foreign=theirs)
    assert 99.0 not in [cell.value for _, cells in found.rows for cell in cells]
    (line,) = [line for line in found.lines if line.startswith("not in the table: ")]
    assert expected in line
    assert ("../theirs" in line) == is_foreign


def test_comparable_records_of_others_stand_beside_ours() -> None:
    theirs = make_record("fusion_add", [73.0], [9.0])
    found = made("VII", make_record("fusion_add", [70.0], [9.0]), foreign=(Found(theirs, "../theirs"),))
    values = {label: cells[0].value for label, cells in found.rows}
    assert (values["element-wise addition"], values["element-wise addition (../theirs)"]) == (70.0, 73.0)
    assert marks(found, "AP").count("best") == 1


@pytest.mark.parametrize(
    ("kind", "recipes_of", "is_published"),
    [
        ("xd_violence", PUBLISHED, True),
        ("xd_violence_released", PUBLISHED, True),
        ("table", PUBLISHED, False),
        ("xd_violence", RECIPES, False),  # with the user's own features
        ("cctv_fights", PUBLISHED, False),  # whose stride is 4
    ],
)
def test_published_numbers_stand_beside_the_published_data_set_alone(
    kind: str, recipes_of: dict, is_published: bool
) -> None:
    data = make_data(kind=kind)
    record = make_record("fusion_add", [70.0], [9.0], data=data, recipes=recipes_of)
    found = sheet("VII", [record, make_record("random", [5.0], [0.1], data=data)], (), params_of())
    row = dict(found.rows)["element-wise addition"]
    if is_published:
        assert found.header == ("AP", "AVG", "AP, released", "AP, published", "AVG, released", "AVG, published")
        assert [cell.value for cell in row] == [70.0, 9.0, 71.0, 83.02, 10.0, 27.66]
    else:
        assert found.header == ("AP", "AVG")
        assert not any("published" in line for line in found.lines)


def test_every_published_method_of_a_row_is_known() -> None:
    """Numbers published with other features, I3D and VGGish, are marked as such."""
    for number, kind in {"I": "xd_violence", "II": "cctv_fights", "VI": "xd_violence", "IX": "cctv_fights"}.items():
        for row in TABLES[number].rows:
            assert row.method == "Random" or published(kind, row.method) is not None, row.label
    data = make_data(kind="xd_violence")
    record = make_record("macil_sd", [70.0], data=data, recipes=PUBLISHED)
    (row,) = [cells for label, cells in sheet("I", [record], (), params_of()).rows if label.startswith("MACIL")]
    assert row[2] == Cell(81.21, word="I3D")


def test_table_v_has_a_row_for_each_data_set_that_was_trained_on() -> None:
    across = {"a": {"dataset": "demo", "trained_on": "other", "variant": "audio_visual"}}
    settings = {"kind": "audio_visual", "modalities": ["visual", "audio"], "fusion": "adaptive"}
    other = make_record("audio_visual_from_other", [60.0], settings=settings)
    own = make_record("audio_visual", [70.0])
    found = made("V", own, other, params=params_of("audio_visual", across=across))
    assert [(label, cells[0].value) for label, cells in found.rows] == [
        ("trained on demo", 70.0),
        ("trained on other", 60.0),
    ]
    assert any("avadclip recipe table_v --add" in line for line in made("V", own).lines)


@pytest.mark.parametrize(
    ("number", "changes", "line"),
    [
        ("III", {"classes": ("normal", "fighting")}, "there is one anomaly class"),
        ("VI", {"with_sound": 0}, "no test video has sound"),
        ("I", {"limits": ("no anomalous test video has segments",)}, "no anomalous test video has segments"),
        ("VI", {"untrained": {"audio_visual": "it takes audio"}}, "audio_visual was not trained here: it takes audio"),
        ("I", {"excluded": ("a", "b")}, "2 test videos are excluded"),
    ],
)
def test_a_table_says_what_it_cannot_say(number: str, changes: dict, line: str) -> None:
    record = make_record("vadclip", [70.0], [9.0], data=make_data(**changes))
    found = sheet(number, [record], (), params_of("vadclip"))
    assert any(line in one for one in found.lines)


def test_what_is_to_be_known_of_several_rows_is_told_once() -> None:
    records = [
        make_record(name, [70.0], [9.0], notes=("a", f"of {name} alone")) for name in ("fusion_add", "audio_visual")
    ]
    lines = made("VII", *records).lines
    assert [line for line in lines if line.endswith(("a", "alone"))] == [
        "fusion_add, audio_visual: a",
        "fusion_add: of fusion_add alone",
        "audio_visual: of audio_visual alone",
    ]


def test_without_segments_no_cell_is_zero() -> None:
    record = make_record("vadclip", [70.0], [9.0], strict={"video.AP": 80.0}, released={}, intervals={}, resampled={})
    found = sheet("I", [record], (), params_of("vadclip"))
    assert [cells[0] for label, cells in found.rows if label.startswith("VadCLIP")] == [Cell()]


def test_hashes_follow_what_made_the_numbers() -> None:
    def line(*records: Record) -> str:
        return made("VII", *records).lines[-1]

    one = make_record("fusion_add", [70.0], [9.0])
    assert line(one) == line(make_record("fusion_add", [71.0], [8.0]))
    assert line(one) != line(make_record("fusion_add", [70.0], [9.0], settings={"temperature": 1.0}))
    assert re.fullmatch(r"sha256: params \w{12}, data d{12}, audio \w{12}, visual \w{12}", line(one))


NASTY = "50% & <b>_{x}$#~^\\ | `c` \x1b[31m"


@pytest.fixture
def full() -> Sheet:
    records = [
        make_record(name, [ap - 1, ap + 1], [9.0, 10.0]) for name, ap in zip(FUSIONS, (60, 70, 70, 65), strict=True)
    ]
    return made("VII", records[0].model_copy(update={"notes": (NASTY,)}), *records[1:3])


def test_markdown_is_a_table_of_as_many_cells_in_each_line(full: Sheet) -> None:
    text = FORMATS["markdown"](full)
    lines = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("|")]
    assert {len(line) for line in lines} == {5}
    assert len(lines) == 2 + len(full.rows)
    assert text.count("**70.00 ± 1.41 [68.0, 72.0]**") == 2
    assert text.count("<u>60.00") == 1
    assert "<b>" not in text
    assert "\x1b" not in text


def test_latex_is_balanced_and_escaped(full: Sheet) -> None:
    text = FORMATS["latex"](full)
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    bare = re.sub(r"\\[&%$#_{}]|\\\\", "", text)  # without escaped characters and line ends
    assert not set("#~^<>|_%±\x1b") & set(bare)
    depth = np.cumsum([{"{": 1, "}": -1}.get(character, 0) for character in bare])
    assert depth.min() == 0
    assert depth[-1] == 0
    assert bare.count("$") == 2 * bare.count(r"\pm")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {2}
    assert len(rows) == 1 + len(full.rows)
    assert text.count(r"\textbf{70.00") == 2
    assert text.count(r"\underline{60.00") == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex (apt-get install texlive-latex-base)")
def test_latex_compiles(full: Sheet, tmp_path: Path) -> None:
    empty = made("V")
    body = "".join(map(FORMATS["latex"], (full, empty)))
    (tmp_path / "paper.tex").write_text(f"\\documentclass{{article}}\\begin{{document}}{body}\\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 0


def test_csv_holds_every_number(full: Sheet) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](full))))
    cells = {(row["row"], row["column"]): row for row in rows if row["row"]}
    for label, of_row in full.rows:
        for column, cell in zip(full.header, of_row, strict=True):
            found = cells[label, column]
            assert found["value"] == ("" if cell.value is None else str(cell.value))
            assert found["word"] == cell.word
    assert [row["word"] for row in rows if not row["row"]] == list(full.lines)


def test_text_fits_under_its_header(full: Sheet) -> None:
    lines = FORMATS["text"](full).splitlines()
    column = lines[1].index("AP")
    assert [line[column : column + 5] for line in lines[2:6]] == ["60.00", "70.00", "70.00", "missi"]
    assert "\x1b" not in "".join(lines)
