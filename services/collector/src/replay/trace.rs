//! A trace file as DataFusion reads it: its rows in a range of time, in the order of instant and
//! workload, with what the mapping says computed.

use super::mapping::{InstantUnit, Mapping, kind_and_unit};
use super::numbers::{Survey, is_text, survey, text_column, with_numbers};
use super::step::{WorkloadInstants, most_frequent_step_s};
use anyhow::{Context as _, Result, bail, ensure};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::config::ConfigOptions;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions::math::expr_fn::round;
use datafusion::functions_aggregate::expr_fn::{count, min};
use datafusion::logical_expr::{ExprSchemable, SortExpr};
use datafusion::prelude::{
    CsvReadOptions, DataFrame, Expr, ParquetReadOptions, SessionConfig, SessionContext, cast, ident, lit, try_cast,
};
use datafusion::scalar::ScalarValue;
use prescale_domain::kpi::KpiKind;
use std::path::Path;
use std::sync::Arc;

/// Rows from which the step is found.
const STEP_ROWS: usize = 200_000;
/// Instants as numbers above this are no seconds: the year 9999 ends there.
const SECONDS_MAX_MS: i64 = 253_402_300_799_999;

/// What a timestamp of 64 bits can say in nanoseconds.
const NANOSECONDS_RANGE_MS: std::ops::Range<i64> = i64::MIN / 1_000_000 + 1..i64::MAX / 1_000_000;

/// Positions of the columns that [`Trace::ordered`] gives.
pub(super) const AT: usize = 0;
pub(super) const WORKLOAD: usize = 1;
pub(super) const FIRST_KPI: usize = 2;

/// A KPI of the trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceKpi {
    /// Its name.
    pub name: String,
    /// How its values are to be read.
    pub kind: KpiKind,
    /// Its unit.
    pub unit: &'static str,
}

/// A trace file, opened.
pub(crate) struct Trace {
    rows: DataFrame,
    /// The same rows, read by one thread in the order of the file, with memory of their own.
    rows_in_file_order: DataFrame,
    at: Instant,
    workload: Expr,
    kpis: Vec<(TraceKpi, Expr)>,
    capacity: Option<[Expr; 2]>,
}

/// The instant as an expression.
#[derive(Clone)]
struct Instant {
    /// Milliseconds since 1970.
    at_ms: Expr,
    /// As it is in the file, and so many of its units in a second, where it can be compared with
    /// numbers or timestamps, so that DataFusion can leave out what is out of the range.
    raw: Option<(Expr, RawInstant)>,
}

#[derive(Clone, Debug)]
enum RawInstant {
    Whole { per_s: i64 },
    Real { per_s: f64 },
    Timestamp { zone: Option<Arc<str>> },
}

/// A range of instants, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first.
    pub from_ms: i64,
    /// The end, itself left out; `None` for the file's.
    pub to_ms: Option<i64>,
}

/// Rows of a file, and their first instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Rows without an instant.
    pub rows_without_instant: u64,
    /// Rows with one.
    pub rows_with_instant: u64,
    /// The first instant, in milliseconds; `None` when no row has one.
    pub first_ms: Option<i64>,
}

impl Trace {
    /// Opens a file with a mapping that is not empty, or with the one that `mapping_of` finds for
    /// its columns.
    ///
    /// # Errors
    /// When the file cannot be read, or an expression of the mapping cannot be computed, with its key.
    pub(crate) async fn open(
        path: &Path,
        sort_memory_bytes_max: usize,
        mapping_of: impl FnOnce(&[&str]) -> Result<Mapping>,
    ) -> Result<(Self, Mapping)> {
        let (context, rows) = read(path, sort_memory_bytes_max, None).await?;
        let (_, rows_in_file_order) = read(path, sort_memory_bytes_max, Some(1)).await?;
        let columns: Vec<&str> = rows.schema().fields().iter().map(|f| f.name().as_str()).collect();
        let mapping = mapping_of(&columns)?;
        mapping.check()?;
        let first_line = if path.extension().is_some_and(|e| e == "parquet") { 1 } else { 2 };
        let resolve = Resolver { context: &context, rows: &rows, rows_in_file_order: &rows_in_file_order, first_line };
        let instant = resolve.expression("instant", &mapping.instant).await?;
        let mut kpis = Vec::with_capacity(mapping.kpis.len());
        for (name, text) in &mapping.kpis {
            let value = resolve.number(&format!("kpis.{name}"), text).await?;
            let (kind, unit) = kind_and_unit(name);
            kpis.push((TraceKpi { name: name.clone(), kind, unit }, try_cast(value, DataType::Float64)));
        }
        let capacity = match mapping.cpu_capacity.as_str() {
            "" => None,
            cpu => {
                let cpu = resolve.number("cpu_capacity", cpu).await?;
                let memory = resolve.number("memory_capacity", &mapping.memory_capacity).await?;
                Some([cpu, memory].map(|value| try_cast(value, DataType::Float64)))
            }
        };
        let workload = cast(resolve.expression("workload", &mapping.workload).await?, DataType::Utf8);
        let at = Instant::of(instant, mapping.instant_unit, &rows)?;
        Ok((Self { at, workload, kpis, capacity, rows, rows_in_file_order }, mapping))
    }

    /// Its KPIs, in the order of their columns.
    pub(crate) fn kpis(&self) -> impl Iterator<Item = &TraceKpi> {
        self.kpis.iter().map(|(kpi, _)| kpi)
    }

    /// Whether two columns after the KPIs hold the capacity, in cores and bytes.
    pub(crate) fn has_capacity(&self) -> bool {
        self.capacity.is_some()
    }

    /// Its rows and its first instant.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub(crate) async fn extent(&self) -> Result<Extent> {
        let at = self.at.at_ms.clone();
        let all = vec![count(lit(1)), count(at.clone()), min(at)];
        let counted = self.rows.clone().aggregate(vec![], all)?.collect().await.context("cannot read the trace")?;
        let of = |column: usize| -> Option<i64> {
            let values = counted.first()?.column(column).as_primitive_opt::<Int64Type>()?;
            (!values.is_empty() && values.is_valid(0)).then(|| values.value(0))
        };
        let (rows, rows_with_instant) = (of(0).unwrap_or(0), of(1).unwrap_or(0));
        let first_ms = of(2);
        if let Some(first) = first_ms.filter(|ms| *ms > SECONDS_MAX_MS) {
            bail!(
                "[collector.replay.mapping] instant: the first one is {} s, after the year 9999: \
                 set instant_unit = \"ms\" when it is in milliseconds",
                first / 1000
            );
        }
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Extent {
            rows_without_instant: count(rows - rows_with_instant),
            rows_with_instant: count(rows_with_instant),
            first_ms,
        })
    }

    /// Number of rows in a range.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub(crate) async fn count(&self, range: Range) -> Result<u64> {
        let rows = self.rows.clone().filter(self.at.within(range))?.select(vec![self.at.at_ms.clone()])?;
        Ok(rows.count().await.context("cannot read the trace")? as u64)
    }

    /// The sampling step within a range, in seconds: the most frequent difference within a
    /// workload over the file's first rows in it. `None` when no workload has two instants.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn step_s(&self, range: Range) -> Result<Option<u32>> {
        let rows = self
            .rows_in_file_order
            .clone()
            .filter(self.at.within(range))?
            .select(vec![self.at.at_ms.clone().alias("at"), self.workload.clone().alias("workload")])?
            .limit(0, Some(STEP_ROWS))?;
        let mut instants = WorkloadInstants::default();
        for batch in rows.collect().await.context("cannot read the trace")? {
            let (at, workload) = (batch.column(AT).as_primitive::<Int64Type>(), text_column(&batch, WORKLOAD)?);
            for row in (0..batch.num_rows()).filter(|row| at.is_valid(*row) && workload.is_valid(*row)) {
                instants.entry(workload.value(row).to_owned()).or_default().push(at.value(row));
            }
        }
        Ok(most_frequent_step_s(instants))
    }

    /// The rows in a range, by instant, then workload, then all else, so that the order is the
    /// same each time: instant (ms), workload, the KPIs, and the capacity where there is one.
    ///
    /// One sort has all the memory. Several side by side take it from each other just when one merges what it has,
    /// which can neither wait nor spill: then the trace fails, by how the threads happen to run.
    ///
    /// # Errors
    /// When the plan cannot be made.
    pub(crate) async fn ordered(&self, range: Range) -> Result<SendableRecordBatchStream> {
        let values = self.kpis.iter().map(|(_, value)| value).chain(self.capacity.iter().flatten());
        let columns: Vec<Expr> = [&self.at.at_ms, &self.workload]
            .into_iter()
            .chain(values)
            .enumerate()
            .map(|(i, value)| value.clone().alias(format!("c{i}")))
            .collect();
        let order: Vec<SortExpr> = (0..columns.len()).map(|i| ident(format!("c{i}")).sort(true, true)).collect();
        let rows = self.rows_in_file_order.clone().filter(self.at.within(range))?.select(columns)?.sort(order)?;
        rows.execute_stream().await.context("cannot order the trace")
    }
}

impl Instant {
    fn of(value: Expr, unit: InstantUnit, rows: &DataFrame) -> Result<Self> {
        use InstantUnit::{Auto, Ms, Rfc3339, S};
        let kind = value.get_type(rows.schema())?;
        let to_whole = |value: Expr| try_cast(value, DataType::Int64);
        let is_text = is_text(&kind);
        let per_s = if unit == Ms { 1000 } else { 1 };
        let scaled = || to_whole(round(vec![try_cast(value.clone(), DataType::Float64) * lit(1000.0 / per_s as f64)]));
        Ok(match kind {
            DataType::Timestamp(_, zone) => Self {
                at_ms: to_whole(cast(value.clone(), DataType::Timestamp(TimeUnit::Millisecond, zone.clone()))),
                raw: Some((value, RawInstant::Timestamp { zone })),
            },
            DataType::Date32 | DataType::Date64 => {
                Self { at_ms: to_whole(cast(value, DataType::Timestamp(TimeUnit::Millisecond, None))), raw: None }
            }
            _ if is_text && matches!(unit, Auto | Rfc3339) => {
                let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
                Self { at_ms: to_whole(try_cast(value, utc)), raw: None }
            }
            _ if is_text => Self { at_ms: scaled(), raw: None },
            kind if kind.is_integer() && matches!(unit, Auto | S | Ms) => {
                Self { at_ms: scaled(), raw: Some((value, RawInstant::Whole { per_s })) }
            }
            kind if kind.is_numeric() && matches!(unit, Auto | S | Ms) => {
                Self { at_ms: scaled(), raw: Some((value, RawInstant::Real { per_s: per_s as f64 })) }
            }
            kind => bail!(
                "[collector.replay.mapping] instant is of type {kind}, which does not go with instant_unit = \
                 \"{}\": a text, a number or a timestamp is needed",
                format!("{unit:?}").to_lowercase()
            ),
        })
    }

    /// Whether it lies in a range.
    fn within(&self, range: Range) -> Expr {
        let from = self.at_ms.clone().gt_eq(lit(range.from_ms));
        let exact = match range.to_ms {
            Some(to_ms) => from.and(self.at_ms.clone().lt(lit(to_ms))),
            None => from,
        };
        let Some((raw, kind)) = &self.raw else { return exact };
        // A little wider than the exact bounds, which round.
        let low = kind.bound(range.from_ms.saturating_sub(1), -1).map(|bound| raw.clone().gt_eq(bound));
        let high = range.to_ms.and_then(|ms| kind.bound(ms.saturating_add(1), 1)).map(|bound| raw.clone().lt_eq(bound));
        low.into_iter().chain(high).fold(exact, |all, bound| bound.and(all))
    }
}

impl RawInstant {
    /// The instant as the file has it, whole numbers moved by `slack`; `None` where it has none.
    fn bound(&self, ms: i64, slack: i64) -> Option<Expr> {
        match self {
            Self::Whole { per_s } => {
                let whole = (ms / 1000).saturating_mul(*per_s).saturating_add(ms % 1000 * *per_s / 1000);
                Some(lit(whole.saturating_add(slack)))
            }
            Self::Real { per_s } => Some(lit(ms as f64 / 1000.0 * per_s)),
            Self::Timestamp { zone } => (NANOSECONDS_RANGE_MS.contains(&ms))
                .then(|| lit(ScalarValue::TimestampMillisecond(Some(ms), zone.clone()))),
        }
    }
}

struct Resolver<'a> {
    context: &'a SessionContext,
    rows: &'a DataFrame,
    rows_in_file_order: &'a DataFrame,
    /// Line of the file that its first row is on.
    first_line: u64,
}

impl Resolver<'_> {
    /// A column's name or an expression, checked against the file.
    async fn expression(&self, key: &str, text: &str) -> Result<Expr> {
        self.checked(text, &[]).await.map_err(|why| self.refusal(key, text, &why))
    }

    /// As [`Resolver::expression`], of a number: where it cannot be computed since columns are text, those that hold
    /// mostly numbers are taken for numbers, and what is none is missing.
    async fn number(&self, key: &str, text: &str) -> Result<Expr> {
        match self.checked(text, &[]).await {
            Ok(value) => {
                if self.texts_in(text) == [text] {
                    self.tell(key, &self.survey(&[text.to_owned()]).await?);
                }
                Ok(value)
            }
            Err(why) => {
                let texts = self.texts_in(text);
                let surveys = self.survey(&texts).await?;
                if texts.is_empty() || !surveys.iter().all(Survey::means_numbers) {
                    let found = surveys.iter().map(|survey| format!("; {survey}")).collect::<String>();
                    return Err(anyhow::anyhow!("{:#}{found}", self.refusal(key, text, &why)));
                }
                self.tell(key, &surveys);
                self.checked(text, &texts).await.map_err(|why| self.refusal(key, text, &why))
            }
        }
    }

    async fn survey(&self, columns: &[String]) -> Result<Vec<Survey>> {
        let mut surveys = Vec::with_capacity(columns.len());
        for column in columns {
            surveys.push(survey(self.rows_in_file_order, column, self.first_line).await?);
        }
        Ok(surveys)
    }

    fn tell(&self, key: &str, surveys: &[Survey]) {
        for survey in surveys.iter().filter(|survey| survey.is_mixed()) {
            tracing::warn!("[collector.replay.mapping] {key}: {survey}; what is no number counts as missing");
        }
    }

    /// The expression with these columns as numbers, if it can be computed.
    async fn checked(&self, text: &str, numbers: &[String]) -> Result<Expr, DataFusionError> {
        let value = with_numbers(self.parsed(text)?, numbers)?;
        self.rows.clone().select(vec![value.clone().alias("value")])?.create_physical_plan().await?;
        Ok(value)
    }

    fn parsed(&self, text: &str) -> Result<Expr, DataFusionError> {
        let is_column = self.rows.schema().fields().iter().any(|f| f.name() == text);
        if is_column { Ok(ident(text)) } else { self.context.parse_sql_expr(text, self.rows.schema()) }
    }

    /// The columns of text that an expression refers to, by name ascending.
    fn texts_in(&self, text: &str) -> Vec<String> {
        let Ok(value) = self.parsed(text) else { return Vec::new() };
        let is_text =
            |name: &str| self.rows.schema().fields().iter().any(|f| f.name() == name && is_text(f.data_type()));
        let mut names: Vec<String> = value.column_refs().into_iter().map(|column| column.name.clone()).collect();
        names.retain(|name| is_text(name));
        names.sort_unstable();
        names
    }

    fn refusal(&self, key: &str, text: &str, why: &DataFusionError) -> anyhow::Error {
        let columns: Vec<&str> = self.rows.schema().fields().iter().map(|f| f.name().as_str()).collect();
        let (why, columns) = (why.strip_backtrace(), listed(&columns));
        anyhow::anyhow!("[collector.replay.mapping] {key} = {text:?}: {why}; the file's columns are: {columns}")
    }
}

/// Columns for an error to name, not more than can be read.
pub(super) fn listed(columns: &[&str]) -> String {
    const LISTED_MAX: usize = 40;
    match columns.split_at_checked(LISTED_MAX) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => columns.join(", "),
    }
}

/// A file's rows, by its name's end.
async fn read(path: &Path, memory_bytes_max: usize, partitions: Option<usize>) -> Result<(SessionContext, DataFrame)> {
    let shown = path.display();
    ensure!(path.is_file(), "[collector.replay] file = \"{shown}\": there is no such file");
    let path = path.canonicalize().with_context(|| format!("[collector.replay] file = \"{shown}\""))?;
    let url = url::Url::from_file_path(&path)
        .map_err(|()| anyhow::anyhow!("[collector.replay] file = \"{shown}\": its path cannot be used"))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let context = session(memory_bytes_max, partitions)?;
    let ending = |ending: &str| name.to_lowercase().ends_with(ending).then(|| &name[name.len() - ending.len()..]);
    let opened = if let Some(extension) = ending(".parquet") {
        context.read_parquet(url.as_str(), ParquetReadOptions::default().file_extension(extension)).await
    } else if let Some(extension) = ending(".csv") {
        context.read_csv(url.as_str(), csv(extension, FileCompressionType::UNCOMPRESSED)).await
    } else if let Some(extension) = ending(".csv.zst") {
        context.read_csv(url.as_str(), csv(extension, FileCompressionType::ZSTD)).await
    } else {
        bail!("[collector.replay] file = \"{shown}\": .parquet, .csv and .csv.zst can be read");
    };
    let rows = opened.map_err(|e| anyhow::anyhow!("[collector.replay] file = \"{shown}\": {}", e.strip_backtrace()))?;
    Ok((context, rows))
}

/// The types of a CSV's columns are found from all of its rows: one that looks whole at first can
/// have fractions later.
fn csv(extension: &str, compression: FileCompressionType) -> CsvReadOptions<'_> {
    CsvReadOptions::new()
        .file_extension(extension)
        .file_compression_type(compression)
        .schema_infer_max_records(usize::MAX)
        .truncated_rows(true)
}

fn session(memory_bytes_max: usize, partitions: Option<usize>) -> Result<SessionContext> {
    let mut options = ConfigOptions::new();
    options.sql_parser.enable_ident_normalization = false;
    options.execution.parquet.pushdown_filters = true;
    // Kept for merging what was sorted. A batch counts twice while it is gathered; when it is merged, once, and as long
    // as its rows are in the form that they are compared in, which takes up to twice its size.
    options.execution.sort_spill_reservation_bytes = memory_bytes_max / 2;
    if let Some(partitions) = partitions {
        options.execution.target_partitions = partitions;
    }
    let pool = Arc::new(GreedyMemoryPool::new(memory_bytes_max));
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
    Ok(SessionContext::new_with_config_rt(SessionConfig::from(options), runtime))
}

#[cfg(test)]
mod tests;
