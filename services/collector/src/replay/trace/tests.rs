//! Traces of more rows than there is memory for.

use super::super::readers;
use super::*;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use futures::StreamExt as _;
use parquet::arrow::ArrowWriter;
use std::path::PathBuf;
use std::sync::Arc;

/// Less than the configuration allows, so that a small trace is enough.
const MEMORY_BYTES_MAX: usize = 8 << 20;
const WORKLOADS: i64 = 300;
const STEPS: i64 = 1000;

/// Rows by workload, so that none of them is near its place. Names are of so many digits.
fn trace(folder: &Path, digits: usize) -> PathBuf {
    let rows = || (0..WORKLOADS).flat_map(|workload| (0..STEPS).map(move |step| (workload, step)));
    let names: Vec<String> = rows().map(|(workload, _)| format!("{workload:0digits$}")).collect();
    let starts: Vec<i64> = rows().map(|(_, step)| 1_375_315_200 + 300 * step).collect();
    let cores: Vec<f64> = rows().map(|(workload, step)| (workload * step % 97) as f64).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("vm", Arc::new(StringArray::from(names))),
        ("ts", Arc::new(Int64Array::from(starts))),
        ("cpu", Arc::new(Float64Array::from(cores))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = folder.join(format!("{digits}.parquet"));
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// Rows that come in their order, and whether some of them were on disk when the first came.
async fn ordered(path: &Path) -> (i64, bool) {
    let mapping = Mapping::parse("entity=vm,time=ts,cpu=cpu").unwrap();
    let (trace, _) = Trace::open(path, MEMORY_BYTES_MAX, &mapping).await.unwrap();
    let mut stream = trace.ordered(Range { from_ms: 0, to_ms: None }).await.unwrap();
    let (mut rows, mut spilled, mut before) = (0, false, None);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        spilled |= trace.rows_in_file_order.task_ctx().runtime_env().disk_manager.used_disk_space() > 0;
        let (at, workload) = (batch.column(AT).as_primitive::<Int64Type>(), text_column(&batch, WORKLOAD).unwrap());
        for row in 0..batch.num_rows() {
            let now = (at.value(row), workload.value(row).to_owned());
            assert!(before.as_ref().is_none_or(|before| *before < now), "{now:?} after {before:?}");
            before = Some(now);
            rows += 1;
        }
    }
    (rows, spilled)
}

/// The shorter the rows and the longer the names, the more of the memory goes to comparing rows: both ends of it.
#[test]
fn what_is_larger_than_the_memory_goes_to_disk_and_comes_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for digits in [1, 33] {
        let path = trace(folder.path(), digits);
        assert_eq!(readers().unwrap().block_on(ordered(&path)), (WORKLOADS * STEPS, true), "names of {digits} digits");
    }
}
