"""A report is encoded and decoded; anything else is refused with its place."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.report import REPORT_SCHEMA, SEVERITIES, VERDICTS, Comparison, DriftReport, LeftOut, Measure
from bgpdrift.drift.report_json import build_schema, decode, encode
from bgpdrift.errors import InputError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(0, 2**40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MAYBE = st.none() | NUMBER
MEASURE = st.builds(Measure, TEXT, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, st.sampled_from(SEVERITIES), TEXT, TEXT)
LEFT_OUT = st.builds(LeftOut, WHOLE, st.integers(1, 999), st.sampled_from(["current", "reference"]), TEXT)
COMPARISON = st.builds(
    Comparison,
    TEXT,
    st.sampled_from(["rolling", "pinned"]),
    WHOLE,
    WHOLE,
    WHOLE,
    WHOLE,
    WHOLE,
    WHOLE,
    st.sampled_from(VERDICTS),
    MAYBE,
    st.lists(MEASURE, max_size=3).map(tuple),
    TEXT,
    MAYBE,
    st.none() | WHOLE,
    MAYBE,
    st.lists(LEFT_OUT, max_size=2).map(tuple),
    TEXT,
)
REPORT = st.builds(
    DriftReport,
    TEXT,
    TEXT,
    WHOLE,
    st.sampled_from(VERDICTS),
    st.sampled_from(SEVERITIES),
    TEXT,
    TEXT,
    MAYBE,
    st.lists(COMPARISON, max_size=3).map(tuple),
    st.lists(MEASURE, max_size=3).map(tuple),
    MAYBE,
    st.none() | WHOLE,
    st.dictionaries(TEXT, JSON, max_size=3),
)
ONE = DriftReport(
    "lstm",
    "4",
    1_767_225_600,
    "drift",
    "high",
    "Drift.",
    comparisons=(
        Comparison(
            "24h/7d",
            "rolling",
            0,
            1,
            0,
            1,
            5,
            6,
            "drift",
            1e-6,
            (Measure("psi", 0.3),),
            left_out=(LeftOut(0, 2, "current", "x"),),
        ),
    ),
    signals=(Measure("lag", 3.0),),
)


@given(REPORT)
def test_a_report_survives_encoding(report):
    assert decode(encode(report)) == report


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_figure_that_is_not_finite_is_not_encoded(odd):
    wrong = dataclasses.replace(ONE, signals=(Measure("lag", odd),))
    with pytest.raises(ValueError, match=r"signals\.0\.value"):
        encode(wrong)


def changed(**changes):
    return json.dumps({**json.loads(encode(ONE)), **changes}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[1]", r"expected a drift report \(a JSON object\), found list"),
        (b"{}", "expected version 1 of a drift report, found None"),
        (changed(schema=2), "expected version 1 of a drift report, found 2"),
        (changed(schema=True), "found True"),
        (changed(verdict="maybe"), r"'maybe'.*\$\.verdict"),
        (changed(at="noon"), r"Expected `int`, got `str` - at `\$\.at`"),
        (changed(extra=1), r"'extra' is unknown at \$"),
        (changed(comparisons=[{"window": "24h/7d"}]), r"'alarming' is missing at \$\.comparisons\[0\]"),
        (changed(comparisons="all"), r"\$\.comparisons"),
        (changed(signals=[3]), r"\$\.signals\[0\]"),
        (
            encode(ONE).replace(b'"hours": 2', b'"hours": 2, "days": 0'),
            r"'days' is unknown at \$\.comparisons\[0\]\.left_out\[0\]",
        ),
        (encode(ONE)[:-5], "expected JSON"),
    ],
)
def test_anything_else_is_refused_with_place_and_reason(raw, why):
    with pytest.raises(InputError, match=why) as caught:
        decode(raw, "r.json")
    assert str(caught.value).startswith("r.json: ")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw):
    with pytest.raises(InputError):
        decode(raw)


def test_every_key_is_in_the_schema_and_required():
    form = build_schema()
    for part, fields in (
        (form, json.loads(encode(ONE))),
        (form["$defs"]["Measure"], json.loads(encode(ONE))["signals"][0]),
    ):
        assert set(part["properties"]) == set(part["required"]) == set(fields)
        assert part["additionalProperties"] is False
    assert form["properties"]["schema"] == {"const": REPORT_SCHEMA}


def test_the_schema_in_docs_is_current():
    """`python -m bgpdrift.drift.report_json > docs/drift-report.schema.json` updates it."""
    docs = Path(__file__).parents[3] / "docs"
    assert json.loads((docs / "drift-report.schema.json").read_text()) == build_schema()
    text = (docs / "drift-report.md").read_text()
    for kind in (DriftReport, Comparison, Measure, LeftOut):
        for field in dataclasses.fields(kind):
            assert f"`{field.name}`" in text, f"docs/drift-report.md does not mention {kind.__name__}.{field.name}"
