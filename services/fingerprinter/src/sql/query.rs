//! The one SQL statement that makes features of the window table, planned once and run for each
//! batch.
//!
//! Features that the configuration adds are part of it. They are refused at start when they
//! cannot be planned, or when they could make a feature depend on more than the rows of its own
//! series: another table, a window function, a function that is not a function of its arguments.

use super::merge::function;
use super::moments::Moments;
use super::quantiles::Quantiles;
use super::table;
use datafusion::arrow::array::{Array, AsArray, Float64Array, RecordBatch, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, SchemaRef, UInt32Type};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{EmptyRecordBatchStream, ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// The statement, less the configured features.
pub const FEATURES_SQL: &str = include_str!("features.sql");

const EXTRA_NAMES: &str = "/*extra names*/";
const EXTRA_EXPRESSIONS: &str = "/*extra expressions*/";

/// Columns of the result before the configured ones, `series` apart.
pub const FEATURES: usize = 17;

/// A configured feature that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[fingerprinter.features] {name} = {sql:?}: {problem}")]
pub struct FeatureError {
    name: String,
    sql: String,
    problem: String,
}

/// Features of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesFeatures {
    /// In the order of the statement, from `count` on; `None` where null or not finite.
    pub values: [Option<f64>; FEATURES],
    /// The configured ones, by name.
    pub extra: Vec<Option<f64>>,
}

/// Where the plan takes its table from.
#[derive(Debug)]
struct Feed {
    schema: SchemaRef,
    table: Mutex<Option<RecordBatch>>,
}

impl PartitionStream for Feed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner).take();
        let schema = Arc::clone(&self.schema);
        match MemoryStream::try_new(table.into_iter().collect(), Arc::clone(&schema), None) {
            Ok(stream) => Box::pin(stream),
            Err(_) => Box::pin(EmptyRecordBatchStream::new(schema)),
        }
    }
}

/// The planned statement.
pub struct FeatureQuery {
    runtime: Runtime,
    context: SessionContext,
    feed: Arc<Feed>,
    plan: Arc<dyn ExecutionPlan>,
    /// Without the configured features, for a series on which one of them fails.
    plain_plan: Arc<dyn ExecutionPlan>,
    extra_count: usize,
}

impl FeatureQuery {
    /// Plans the statement with the configured features: aggregate expressions by name.
    ///
    /// # Errors
    /// When a configured feature is refused (a [`FeatureError`]), or DataFusion cannot start.
    pub fn new(extra: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let feed = Arc::new(Feed { schema: table::schema(), table: Mutex::new(None) });
        let config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
        let context = SessionContext::new_with_config(config);
        context.register_udaf(function::<Moments>());
        context.register_udaf(function::<Quantiles>());
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::clone(&feed) as Arc<dyn PartitionStream>];
        context.register_table("windows", Arc::new(StreamingTable::try_new(table::schema(), partitions)?))?;
        for (name, sql) in extra {
            runtime.block_on(check(&context, name, sql)).map_err(|problem| FeatureError {
                name: name.clone(),
                sql: sql.clone(),
                problem,
            })?;
        }
        let plan = runtime.block_on(planned(&context, &statement(extra)))?;
        let plain_plan = runtime.block_on(planned(&context, &statement(&BTreeMap::new())))?;
        Ok(Self { runtime, context, feed, plan, plain_plan, extra_count: extra.len() })
    }

    /// The features of a window table, by series.
    ///
    /// A configured feature that fails on a series is null there: then the series are run one by
    /// one, so that it is so whatever other series are in the table.
    ///
    /// # Errors
    /// When DataFusion fails on our own part of the statement.
    pub fn run(&self, table: RecordBatch, series_count: u32) -> Result<Vec<SeriesFeatures>> {
        let mut found = vec![SeriesFeatures::default(); series_count as usize];
        let outcome = self.execute(&self.plan, table.clone());
        let failed = match outcome {
            Ok(batches) => return self.read(&batches, &mut found).map(|()| found),
            Err(error) if self.extra_count == 0 => return Err(error),
            Err(error) => error,
        };
        tracing::warn!(error = %failed, "a configured feature failed on a series, where it will be missing");
        let series: &UInt32Array = table.column(0).as_primitive::<UInt32Type>();
        let mut start = 0;
        for rows in series.values().chunk_by(|a, b| a == b) {
            let alone = table.slice(start, rows.len());
            start += rows.len();
            let batches = match self.execute(&self.plan, alone.clone()) {
                Ok(batches) => batches,
                Err(_) => self.execute(&self.plain_plan, alone)?,
            };
            self.read(&batches, &mut found)?;
        }
        Ok(found)
    }

    fn execute(&self, plan: &Arc<dyn ExecutionPlan>, table: RecordBatch) -> Result<Vec<RecordBatch>> {
        *self.feed.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
        let plan = reset_plan_states(Arc::clone(plan))?;
        self.runtime.block_on(collect(plan, self.context.task_ctx()))
    }

    fn read(&self, batches: &[RecordBatch], found: &mut [SeriesFeatures]) -> Result<()> {
        for batch in batches {
            let series: &UInt32Array = batch.column(0).as_primitive::<UInt32Type>();
            let columns: Vec<Float64Array> = batch.columns()[1..]
                .iter()
                .map(|column| Ok(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone()))
                .collect::<Result<_>>()?;
            let value = |column: usize, row: usize| {
                let column = columns.get(column).filter(|column| column.is_valid(row))?;
                Some(column.value(row)).filter(|value| value.is_finite())
            };
            for (row, number) in series.values().iter().enumerate() {
                let Some(features) = found.get_mut(*number as usize) else { continue };
                features.values = std::array::from_fn(|i| value(i, row));
                features.extra = (0..self.extra_count).map(|i| value(FEATURES + i, row)).collect();
            }
        }
        Ok(())
    }
}

/// The statement with the configured features.
pub fn statement(extra: &BTreeMap<String, String>) -> String {
    let names: String = extra.keys().map(|name| format!(",\n  \"extra_{name}\"")).collect();
    let expressions: String =
        extra.iter().map(|(name, sql)| format!(",\n    CAST((\n{sql}\n) AS DOUBLE) AS \"extra_{name}\"")).collect();
    FEATURES_SQL.replace(EXTRA_NAMES, &names).replace(EXTRA_EXPRESSIONS, &expressions)
}

async fn planned(context: &SessionContext, sql: &str) -> Result<Arc<dyn ExecutionPlan>> {
    context.sql(sql).await?.create_physical_plan().await
}

/// Why a configured feature cannot be used, in words that follow its name.
async fn check(context: &SessionContext, name: &str, sql: &str) -> std::result::Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err("the name may have lower-case letters, digits and _ only".to_owned());
    }
    let words = |error: DataFusionError| error.strip_backtrace();
    let alone = format!("SELECT series, CAST((\n{sql}\n) AS DOUBLE) AS feature FROM windows GROUP BY series");
    let plan = context.sql(&alone).await.map_err(words)?.into_unoptimized_plan();
    if plan.schema().fields().len() != 2 {
        return Err("give one expression, such as max(max) - min(min)".to_owned());
    }
    let mut problem = None;
    plan.apply_with_subqueries(|node| {
        problem = problem.take().or_else(|| problem_of(node));
        Ok(if problem.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(words)?;
    match problem {
        Some(problem) => Err(problem),
        None => planned(context, &alone).await.map(|_| ()).map_err(words),
    }
}

fn problem_of(node: &LogicalPlan) -> Option<String> {
    match node {
        LogicalPlan::TableScan(scan) if scan.table_name != TableReference::bare("windows") => {
            return Some(format!("table {} is not there: only the columns of windows are", scan.table_name));
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::SubqueryAlias(_) => {}
        other => {
            return Some(format!(
                "{} is not an aggregate over the rows of one series: use aggregates and arithmetic only",
                other.display()
            ));
        }
    }
    node.expressions().iter().find_map(|expression| {
        let mut problem = None;
        let visited = datafusion::common::tree_node::TreeNode::apply(expression, |e| {
            problem = problem.take().or_else(|| problem_of_expression(e));
            Ok(if problem.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        visited.err().map(|e| e.to_string()).or(problem)
    })
}

fn problem_of_expression(expression: &Expr) -> Option<String> {
    let changing = |name: &str, volatility: Volatility| {
        (volatility != Volatility::Immutable)
            .then(|| format!("{name} does not always give the same, so a restart would change the fingerprints"))
    };
    match expression {
        Expr::ScalarFunction(f) => changing(f.name(), f.func.signature().volatility),
        Expr::AggregateFunction(f) => changing(f.func.name(), f.func.signature().volatility),
        Expr::WindowFunction(_) => Some("a window function sees other series: use plain aggregates".to_owned()),
        Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
            Some("a subquery sees other series: use plain aggregates".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
