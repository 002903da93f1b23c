"""Score logs: every supported form is read, and errors name line and reason."""

import bz2
import gzip

import numpy as np
import pytest
import zstandard

from bgpdrift.drift.histogram import Histogram
from bgpdrift.errors import InputError
from bgpdrift.lab import text_lines
from bgpdrift.lab.score_log import read_score_log

T = 1_767_225_600


@pytest.fixture
def log(tmp_path):
    def write(text, name="s.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_score_log(path, **options)

    return write


@pytest.mark.parametrize(
    "time",
    [
        f"{T}",
        f"{T}.25",
        f"{T}000",
        f"{T}000000",
        f"{T}000000000",
        "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00+00:00",
        "2026-01-01",
        "2026-01-01T02:00:00+02:00",
        "2026-01-01T00:00:00.250",
    ],
)
def test_times_are_read_in_every_supported_form(log, time):
    assert log(f"time,score\n{time},1.5\n").span == (T, T + 3_600)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, zstandard.compress, bytes])
def test_a_compressed_file_is_read_whatever_its_name_is(log, pack):
    found = log(pack(f"ts;value\n{T};1\n{T + 3600};2\n".encode()))
    assert (found.rows, found.hours.n.tolist(), found.columns.delimiter) == (2, [1, 1], ";")


def test_every_row_is_counted_once_whatever_the_chunks_are(log, monkeypatch):
    monkeypatch.setattr(text_lines, "CHUNK_BYTES", 1_000)
    random = np.random.default_rng(1)
    scores, times = random.gamma(2.0, 1.0, 3_000).round(6), T + random.integers(0, 40 * 3_600, 3_000)
    text = "".join(f"{at},{score}\r\n" for at, score in zip(times, scores, strict=True))
    found = log(f"timestamp,score\r\n{text}".rstrip())
    assert found.rows == found.hours.n.sum() == 3_000
    assert found.hours.pool().counts == Histogram.of(scores.tolist()).counts


def test_old_hours_are_dropped_while_reading(log, monkeypatch):
    monkeypatch.setattr(text_lines, "CHUNK_BYTES", 500)
    text = "".join(f"{T + 600 * k},{k % 7}\n" for k in range(2_000))
    found = log(f"time,score\n{text}", keep_s=10 * 3_600)
    assert found.rows == 2_000
    assert len(found.hours) == 11


def test_a_byte_order_mark_blank_lines_and_quotes_are_accepted(log):
    found = log(f'\ufeff"Time","Score","note"\n{T},1,"a, b"\n\n{T + 60},2,c\n\n')
    assert found.rows == 2


def test_the_only_other_column_is_the_score_and_others_are_given_by_name(log):
    assert log(f"time,withdrawals\n{T},3\n").columns.score == 1
    assert log(f"time,a,b\n{T},3,4\n", score="b").hours.pool().total == 4


def test_labels_and_alarms_are_counted_by_truth(log):
    rows = [(1, 1), (1, 0), (0, 0), (0, 1), (1, 1)]
    text = "".join(f"{T + 60 * k},1,{alarm},{label}\n" for k, (alarm, label) in enumerate(rows))
    found = log(f"time,score,is_anomaly,label\n{text}").count_labels(T, T + 3_600)
    assert (found.true_positives, found.false_positives, found.true_negatives, found.false_negatives) == (2, 1, 1, 1)


def test_rows_without_a_score_are_skipped_only_on_request(log):
    text = f"time,score\n{T},1\n{T},\n{T},nan\n{T},inf\n"
    found = log(text, skip_missing=True)
    assert (found.rows, found.skipped) == (1, 3)
    with pytest.raises(
        InputError, match=r"s\.csv, line 3: expected a finite number as 'score', found ''; --skip-missing"
    ):
        log(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a header and rows, found an empty file"),
        ("time,score\n", "expected rows below the header, found none"),
        (f"{T},1\n", r"line 1: expected a header that names the columns, found '1767225600, 1'"),
        ("when,score\n1,2\n", r"line 1: expected a column of times, named time, .*; found when, score"),
        ("time,a,b\n1,2,3\n", r"line 1: expected a column of scores.*found time, a, b"),
        (f"time,score\n{T},1\n{T},high\n", r"line 3: expected a finite number as 'score', found 'high'"),
        ("time,score\nnoon,1\n", r"line 2: expected epoch seconds or milliseconds.*found 'noon'"),
        (f"time,score\n{T},1\n2026-13-01,1\n", r"line 3: expected epoch seconds or milliseconds.*found '2026-13-01'"),
        ("time,score\n-5,1\n", r"line 2: .* found '-5'"),
        (f"time,score\n{T},1\n\n{T},1,9\n", r"line 4: expected 2 columns as in the header, found 3"),
        (
            f"time,score,is_anomaly\n{T},1,maybe\n",
            r"line 2: expected 0 or 1, true or false as 'is_anomaly', found 'maybe'",
        ),
        (b"time,score\n1,\xff\n", "line 2: expected UTF-8 text, found byte 0xff, as in Latin-1"),
        (b"time,score\r1,2\r1,\xe9\r", "line 3: expected UTF-8 text, found byte 0xe9, as in Latin-1"),
        ("time,score\n1,2\n".encode("utf-16")[:-1], "line 2: expected UTF-16-LE text.*truncated"),
        (
            f'time,score,note\n{T},1,ok\n{T},2,"5 inch\n{T},3,ok\n',
            "line 3: expected a quoted field that ends, found a quote that is not closed",
        ),
        (f'time,score,note\n{T},1,"a"b\n', "line 2: expected a quoted field that ends"),
        (
            f"time,score\n{T},1\n{T}000,2\n{T + 60},3\n",
            f"line 3: expected epoch seconds .* '{T}000' .epoch milliseconds",
        ),
        (
            f"time,score\n{T},1\n{T}000,2\n{T + 60}000,3\n",
            f"line 2: expected epoch milliseconds .* '{T}' .epoch seconds",
        ),
        (
            f"time,score\n2026-01-01,1\n{T},2\n2026-01-02,3\n",
            f"line 3: expected ISO 8601 times .* '{T}' .epoch seconds",
        ),
        ("time,score\n1e400,1\n", "line 2: expected epoch seconds.* found '1e400'"),
        (b"time,score\n1,2\n\0\n", "line 3: expected text, found a zero byte"),
        (gzip.compress(f"time,score\n{T},1\n".encode(), mtime=0)[:-12], "gzip data is truncated"),
    ],
)
def test_invalid_files_are_refused_with_line_and_reason(log, text, why):
    with pytest.raises(InputError, match=why) as caught:
        log(text)
    assert "s.csv" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_in_every_unicode_encoding_and_with_every_line_end(log, monkeypatch, encoding, end):
    monkeypatch.setattr(text_lines, "CHUNK_BYTES", 7)
    rows = ["time,score,ort", *(f"{T + 60 * k},{k},Zürich" for k in range(100))]
    found = log(end.join(rows).encode(encoding))
    assert (found.rows, found.hours.pool().total) == (100, sum(range(100)))


def test_a_quoted_line_break_is_part_of_its_row_wherever_a_chunk_ends(log, monkeypatch):
    text = f'time,score,note\n{T},1,"two\r\nlines, ""quoted"""\n{T + 60},2,ok\n' * 1
    for size in range(1, len(text)):
        monkeypatch.setattr(text_lines, "CHUNK_BYTES", size)
        assert log(text).rows == 2
    with pytest.raises(InputError, match="line 5: expected a finite number"):
        log(f"{text}{T},high,x\n")


def test_a_row_in_another_unit_or_far_behind_is_left_out_named_and_counted_on_request(log):
    minutes = [f"{T + 60 * k},{k % 7}" for k in range(2_000)]
    clean = log("\n".join(["time,score", *minutes]), keep_s=86_400)
    minutes[500:500] = [f"{T}000,9", "4070908800,9", "4070909000,9"]
    found = log("\n".join(["time,score", *minutes]), keep_s=86_400, skip_missing=True)
    assert (found.rows, found.skipped, found.span) == (2_000, 3, clean.span)
    assert found.hours.pool() == clean.hours.pool()
    assert [message.split(":")[0].rpartition("/")[2] for message in found.left_out] == [
        "s.csv, line 502",
        "s.csv, line 503",
    ]


def test_a_feed_that_resumes_after_two_days_is_not_far_behind(log):
    before = [f"{T + 60 * k},{k % 7}" for k in range(2_000)]
    after = [f"{T + 3 * 86_400 + 60 * k},{k % 7}" for k in range(30)]
    assert log("\n".join(["time,score", *before, *after])).rows == 2_030


def test_a_missing_column_or_file_is_named(log, tmp_path):
    with pytest.raises(InputError, match=r"expected a column 'psi', found time, score"):
        log(f"time,score\n{T},1\n", score="psi")
    with pytest.raises(InputError, match="No such file"):
        read_score_log(tmp_path / "none.csv")
    with pytest.raises(InputError, match="Is a directory"):
        read_score_log(tmp_path)
