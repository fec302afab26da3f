"""Any trace is read by a mapping, the archiver's by its layout, and what is marked as unusual is left out."""

import datetime
from dataclasses import replace

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest

from prescale_training.anomalies import Stretch, read_stretches
from prescale_training.columns import SourceError
from prescale_training.pool import read_sources
from prescale_training.recipe import Recipe, Source
from prescale_training.trace import parse_mapping, read_trace

BEGIN_S = 1_767_139_200  # 2025-12-31 00:00 UTC
BINS = 600


def _read(source):
    return {s.name: s for s in read_sources(Recipe("a", "1", sources=(source,)), None)[0][1]}


def _wide(path, rows=4, **more):
    table = {"vm": ["a", "a", "b", "b"][:rows], "ts": [600, 900, 600, 660][:rows], "usage": [1.0, 2.0, 3.0, 5.0][:rows], **more}
    pyarrow.csv.write_csv(pyarrow.table(table), path)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Fingerprints of two workloads over two days, two KPIs each, a row a minute; an hour of `web` is marked."""
    folder = tmp_path_factory.mktemp("archive") / "fingerprints"
    at_s = BEGIN_S + 43_200 + 60 * np.arange(5 * BINS)
    for workload, partition in (("web", 0), ("batch", 1)):
        for day in np.unique(at_s // 86_400):
            mine = np.repeat(at_s[at_s // 86_400 == day], 2)
            kpi = np.tile(["cpu", "memory"], len(mine) // 2)
            table = {
                "workload": [workload] * len(mine),
                "source": ["host:x"] * len(mine),
                "at": pyarrow.array(mine * 1000, pyarrow.timestamp("ms", "UTC")),
                "step_s": pyarrow.array([60] * len(mine), pyarrow.int32()),
                "kpi": kpi,
                "unit": np.where(kpi == "cpu", "cores", "B"),
                "last": [None if i == 4 else float(v) for i, v in enumerate(np.where(kpi == "cpu", mine % 7, 1e9))],
                "capacity": [4.0 if k == "cpu" else None for k in kpi],
                "anomaly": (workload == "web") & (mine >= BEGIN_S + 86_400) & (mine < BEGIN_S + 90_000),
                "short_mean": [0.0] * len(mine),
            }
            date = datetime.datetime.fromtimestamp(int(day) * 86_400, datetime.timezone.utc).date()
            (folder / f"day={date}").mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.table(table), folder / f"day={date}" / f"part-{partition}-0.parquet")
    (folder / ".open" / "day=x").mkdir(parents=True)
    (folder / ".open" / "day=x" / "torn.parquet").write_bytes(b"torn")
    return folder


def test_the_archive_gives_a_series_of_each_workload_and_kpi(archive):
    series = _read(Source(reader="archive", path=str(archive)))
    assert sorted(series) == [f"history/{w}#{k}" for w in ("batch", "web") for k in ("cpu", "memory")]
    cpu = series["history/batch#cpu"]
    assert (len(cpu.values), cpu.start_s, cpu.capacity) == (BINS, BEGIN_S + 43_200, 4.0)
    assert series["history/web#memory"].capacity is None
    first = (BEGIN_S + 43_200 + 60 * np.arange(5)) % 7
    assert cpu.values[0] == pytest.approx(first[[0, 1, 3, 4]].mean())  # the third is null


def test_what_the_archive_marks_is_missing(archive):
    series = _read(Source(reader="archive", path=str(archive), kpis=("cpu",)))
    missing = np.flatnonzero(np.isnan(series["history/web#cpu"].values))
    np.testing.assert_array_equal(missing, 144 + np.arange(12))
    assert not np.isnan(series["history/batch#cpu"].values).any()


def test_a_file_of_stretches_leaves_them_out(archive, tmp_path):
    begin = BEGIN_S + 43_200
    stretches = {
        "workload": ["batch", "batch", "web"],
        "started_at": pyarrow.array([(begin + 3000) * 1000, (begin + 6000) * 1000, begin * 1000], pyarrow.timestamp("ms", "UTC")),
        "ended_at": pyarrow.array([(begin + 3600) * 1000, (begin + 6300) * 1000, None], pyarrow.timestamp("ms", "UTC")),
        "kpi": [None, "memory", "cpu"],
    }
    pyarrow.parquet.write_table(pyarrow.table(stretches), tmp_path / "stretches.parquet")
    series = _read(Source(reader="archive", path=str(archive), anomalies=str(tmp_path / "stretches.parquet")))
    assert np.flatnonzero(np.isnan(series["history/batch#cpu"].values)).tolist() == [10, 11]
    assert np.flatnonzero(np.isnan(series["history/batch#memory"].values)).tolist() == [10, 11, 20]
    assert "history/web#cpu" not in series and "history/web#memory" in series


def test_a_mapping_names_several_resources_and_their_capacities(tmp_path):
    path = _wide(tmp_path / "trace.csv", cores=[2, 2, 8, 8], mem=[5, 6, 7, 8])
    series = _read(Source(path=str(path), map="entity=vm, time=ts, cpu=usage, cpu_capacity=cores, memory=mem, memory_capacity=16"))
    assert series["history/b#cpu"].values.tolist() == [4.0] and series["history/b#cpu"].capacity == 8.0
    assert series["history/a#memory"].values.tolist() == [5.0, 6.0] and series["history/a#memory"].capacity == 16.0


def test_a_column_of_marks_and_stretches_in_unix_seconds(tmp_path):
    path = _wide(tmp_path / "trace.csv", bad=[0, 1, 0, 0])
    (tmp_path / "marks.csv").write_text("workload,from,to\nb,660,700\n")
    source = Source(path=str(path), map="entity=vm,time=ts,cpu=usage,anomaly=bad", anomalies=str(tmp_path / "marks.csv"))
    series = _read(source)
    assert series["history/a#cpu"].values.tolist() == [1.0] and series["history/b#cpu"].values.tolist() == [3.0]


def test_the_mark_of_one_row_is_that_of_its_bin(tmp_path):
    (tmp_path / "trace.csv").write_text("vm,ts,usage,bad\na,0,1,0\na,240,1,0\na,300,9,0\na,360,9,0\na,540,9,1\na,600,2,0\n")
    (one,) = read_trace(tmp_path / "trace.csv", parse_mapping("entity=vm,time=ts,cpu=usage,anomaly=bad"), "x")
    assert one.start_s == 0 and one.values[[0, 2]].tolist() == [1.0, 2.0] and np.isnan(one.values[1])


def test_milliseconds(tmp_path):
    mapping = parse_mapping("entity=vm,time=ts,cpu=usage")
    (one,) = read_trace(_wide(tmp_path / "trace.csv", rows=2), mapping, "x", time_unit="ms")
    assert one.start_s == 0 and one.values.tolist() == [1.5]
    with pytest.raises(SourceError, match="weeks"):
        read_trace(tmp_path / "trace.csv", mapping, "x", time_unit="weeks")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("entity=vm,cpu=usage", "time=COLUMN is missing"),
        ("entity=vm,time=ts", "no resource"),
        ("entity=vm,time=ts,cpu", "word=column"),
        ("entity=vm,time=ts,cpu=a,cpu=b", "twice"),
        ("entity=vm,time=ts,cpu_capacity=a", "goes with a resource"),
        ("entity=vm,time=ts,kpi=k", "value=COLUMN"),
    ],
)
def test_a_bad_mapping_says_what_is_wrong(text, says):
    with pytest.raises(SourceError, match=says):
        parse_mapping(text)


def test_missing_columns_files_and_kpis_are_named(archive, tmp_path):
    path = _wide(tmp_path / "trace.csv")
    good = Source(path=str(path), map="entity=vm,time=ts,cpu=usage")
    for source, says in (
        (replace(good, map="entity=vm,time=ts,cpu=use"), "no column 'use'"),
        (replace(good, path=str(tmp_path / "none.csv")), "is not there"),
        (replace(good, kpis=("disk",)), "no series of disk"),
        (replace(good, anomalies=str(path)), "none of the columns from, started_at"),
    ):
        with pytest.raises(SourceError, match=says):
            _read(source)
    with pytest.raises(SourceError, match="no .parquet"):
        _read(replace(good, path=str(tmp_path)))


def test_the_newest_word_of_the_archives_anomalies_counts_and_what_lasts_is_no_incident(tmp_path):
    hour, began = 3600, BEGIN_S

    def row(anomaly, at, ended, kpi="cpu"):
        return {"workload": "web", "anomaly_id": anomaly, "at": began + at, "started_at": began, "ended_at": ended, "kpi": kpi}

    rows = [
        row("short", 0, None),
        row("short", 2 * hour, began + 2 * hour),
        row("short", 2 * hour, began + 2 * hour, "latency"),
        row("lasting", hour, None),
        row("lasting", 30 * hour, None),
        row("over", 26 * hour, began + 26 * hour),
        row("new", hour, None),
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "anomalies.parquet")
    ended = began + 2 * hour
    assert read_stretches(tmp_path / "anomalies.parquet")["web"] == [
        Stretch(began, ended, "cpu"),
        Stretch(began, ended, "latency"),
        Stretch(began, began + 24 * hour, "cpu"),
    ]


def test_an_archive_without_anomalies_has_no_stretches_and_one_that_is_not_there_is_told(tmp_path):
    (tmp_path / ".open" / "anomalies" / "0").mkdir(parents=True)
    assert read_stretches(tmp_path / "anomalies") == {}
    with pytest.raises(SourceError, match="is not there"):
        read_stretches(tmp_path / "other")
