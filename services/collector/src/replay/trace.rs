//! A trace file as DataFusion reads it: its rows in a range of time, in the order of instant and
//! workload, with what the mapping says computed.

use super::at::{Instant, Range};
use super::grid::Grid;
use super::mapping::{Mapping, kind_and_unit, listed};
use super::numbers::{Survey, is_text, survey, text_column, with_numbers};
use super::source::Source;
use super::step::WorkloadInstants;
use super::text::LINE;
use anyhow::{Context as _, Result, bail};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions::math::expr_fn::{cos, sin};
use datafusion::functions_aggregate::expr_fn::{avg, count, min};
use datafusion::logical_expr::SortExpr;
use datafusion::prelude::{DataFrame, Expr, SessionContext, cast, ident, lit, try_cast};
use prescale_domain::kpi::KpiKind;
use std::f64::consts::TAU;
use std::path::Path;

/// Rows from which the step is found.
const STEP_ROWS: usize = 200_000;

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
    /// What it is read from.
    source: Source,
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
    /// Opens the files that a path names with a mapping; where it is empty, with the one of the trace that is known
    /// by its columns.
    ///
    /// # Errors
    /// When a file cannot be read, or an expression of the mapping cannot be computed, with its key.
    pub(crate) async fn open(path: &Path, sort_memory_bytes_max: usize, given: &Mapping) -> Result<(Self, Mapping)> {
        let source = Source::of(path, given).await?;
        let (context, rows) = source.read(sort_memory_bytes_max, None).await?;
        let (_, rows_in_file_order) = source.read(sort_memory_bytes_max, Some(1)).await?;
        let mapping = source.mapping(given, &names_in(&rows))?;
        mapping.check()?;
        let first_line = if has_lines(&rows) { 2 } else { 1 };
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
        Ok((Self { at, workload, kpis, capacity, rows, rows_in_file_order, source }, mapping))
    }

    /// What the account has to say of its files: what was left out of them and why.
    pub(crate) fn notes(&self) -> &[String] {
        self.source.notes()
    }

    /// In words, where a row was in the text.
    pub(crate) fn place(&self, place: i64) -> String {
        self.source.place(place)
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
        let mut all = vec![count(lit(1)), count(at.clone()), min(at)];
        all.extend(self.at.number().map(min));
        let counted = self.rows.clone().aggregate(vec![], all)?.collect().await.context("cannot read the trace")?;
        let of = |column: usize| -> Option<i64> {
            let values = counted.first()?.column(column).as_primitive_opt::<Int64Type>()?;
            (!values.is_empty() && values.is_valid(0)).then(|| values.value(0))
        };
        let first_number = || -> Option<f64> {
            let values = counted.first()?.columns().get(3)?.as_primitive_opt::<Float64Type>()?;
            (!values.is_empty() && values.is_valid(0)).then(|| values.value(0))
        };
        if let Some(first) = first_number() {
            self.at.check_unit(first)?;
        }
        let (rows, rows_with_instant) = (of(0).unwrap_or(0), of(1).unwrap_or(0));
        if rows > 0 && rows_with_instant == 0 {
            bail!(
                "[collector.replay.mapping] instant: none of the {rows} rows has an instant that can be read{}",
                self.notes().iter().map(|note| format!("; {note}")).collect::<String>()
            );
        }
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Extent {
            rows_without_instant: count(rows - rows_with_instant),
            rows_with_instant: count(rows_with_instant),
            first_ms: of(2),
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

    /// Instants by workload, of the file's first rows in a range.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn first_instants(&self, range: Range) -> Result<WorkloadInstants> {
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
        Ok(instants)
    }

    /// The grids of the workloads in a range, by one thread, so that they are the same each time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn grid(&self, range: Range, step_s: u32) -> Result<Grid> {
        let step_ms = 1000 * i64::from(step_s);
        let angle = cast(self.at.at_ms.clone() % lit(step_ms), DataType::Float64) * lit(TAU / step_ms as f64);
        let columns = vec![self.workload.clone().alias("workload"), angle.alias("angle")];
        let rows = self.rows_in_file_order.clone().filter(self.at.within(range))?.select(columns)?;
        let means = vec![avg(sin(ident("angle"))), avg(cos(ident("angle")))];
        let mut all = Vec::new();
        for batch in rows.aggregate(vec![ident("workload")], means)?.collect().await.context("cannot read the trace")? {
            let workload = text_column(&batch, 0)?;
            let (sine, cosine) =
                (batch.column(1).as_primitive::<Float64Type>(), batch.column(2).as_primitive::<Float64Type>());
            let is_valid = |row: &usize| workload.is_valid(*row) && sine.is_valid(*row) && cosine.is_valid(*row);
            let of = |row: usize| (workload.value(row).to_owned(), sine.value(row), cosine.value(row));
            all.extend((0..batch.num_rows()).filter(is_valid).map(of));
        }
        Ok(Grid::of(step_s, all.into_iter()))
    }

    /// The rows in a range, by instant, then workload, then their line where they were text, then all else, so that
    /// the order is the same each time: instant (ms), workload, the KPIs, the capacity where there is one, and the line.
    ///
    /// One sort has all the memory. Several side by side take it from each other just when one merges what it has,
    /// which can neither wait nor spill: then the trace fails, by how the threads happen to run.
    ///
    /// # Errors
    /// When the plan cannot be made.
    pub(crate) async fn ordered(&self, range: Range) -> Result<SendableRecordBatchStream> {
        let values = self.kpis.iter().map(|(_, value)| value).chain(self.capacity.iter().flatten());
        let mut columns: Vec<Expr> = [&self.at.at_ms, &self.workload].into_iter().chain(values).cloned().collect();
        let mut order: Vec<usize> = (0..columns.len()).collect();
        if has_lines(&self.rows) {
            order.insert(FIRST_KPI, columns.len());
            columns.push(ident(LINE));
        }
        let columns: Vec<Expr> =
            columns.into_iter().enumerate().map(|(i, value)| value.alias(format!("c{i}"))).collect();
        let order: Vec<SortExpr> = order.into_iter().map(|i| ident(format!("c{i}")).sort(true, true)).collect();
        let rows = self.rows_in_file_order.clone().filter(self.at.within(range))?.select(columns)?.sort(order)?;
        rows.execute_stream().await.context("cannot order the trace")
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
                    let surveys = self.survey(&[text.to_owned()]).await?;
                    if let Some(words) = surveys.iter().find(|survey| survey.is_mixed() && !survey.means_numbers()) {
                        bail!(
                            "[collector.replay.mapping] {key} = {text:?}: {words}: numbers are needed, such as 1.5, 250m \
                             or 1.5Gi"
                        );
                    }
                    self.tell(key, &surveys);
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
        let (why, columns) = (why.strip_backtrace(), listed(&names_in(self.rows)));
        // The columns are said once, without the name that DataFusion has for a table that has none.
        let why = why.split("\nValid fields are").next().unwrap_or_default().replace("\"?table?\".", "");
        anyhow::anyhow!("[collector.replay.mapping] {key} = {text:?}: {why}; the file's columns are: {columns}")
    }
}

/// The columns that expressions can name.
fn names_in(rows: &DataFrame) -> Vec<&str> {
    rows.schema().fields().iter().map(|field| field.name().as_str()).filter(|name| *name != LINE).collect()
}

/// Whether rows were lines of text, and say which.
fn has_lines(rows: &DataFrame) -> bool {
    rows.schema().fields().iter().any(|field| field.name() == LINE)
}

#[cfg(test)]
mod tests;
