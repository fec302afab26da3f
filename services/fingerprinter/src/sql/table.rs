//! The window table: one row for each mergeable part of one window of one KPI of one sample.
//!
//! These are the columns that a feature of the configuration can use. A feature is an aggregate
//! expression; it is evaluated for each KPI and window (that is what the rows of one `series`
//! are), over one to two rows.
//!
//! | column | type | what it is |
//! | --- | --- | --- |
//! | `series` | unsigned | number of the (sample, KPI, window) |
//! | `kpi` | text | name of the KPI |
//! | `window_name` | text | `short` or `long` |
//! | `step_s` | number | sampling step, in seconds |
//! | `places` | number | samples that the window would have if none were missing, on the first row of a series, else 0 |
//! | `count` | number | values |
//! | `mean`, `m2` | number | their mean and sum of squared deviations; null without values |
//! | `min`, `max` | number | null without values |
//! | `t_mean_h`, `t_m2`, `t_y` | number | mean of the instants in hours since the epoch, their sum of squared deviations, and the sum of products of deviations |
//! | `cos_1h`, `sin_1h` | number | sums of deviations times cosine and sine of the place in the hour |
//! | `histogram` | binary | for `merge_quantiles(histogram, min, max)` |
//! | `last` | number | newest value, on the first row of a series; null when missing |
//! | `acf_1h`, `acf_24h`, `acf_7d` | number | autocorrelation, on the first row of a series; null when unknown |
//! | `season_24h_strength`, `season_7d_strength` | number | likewise |

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, Float64Builder, RecordBatch, StringViewBuilder, UInt32Builder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use prescale_domain::window::panes::Aggregate;
use prescale_domain::window::rhythm::Rhythm;
use std::sync::Arc;

const NUMBERS: [&str; 18] = [
    "step_s",
    "places",
    "count",
    "mean",
    "m2",
    "min",
    "max",
    "t_mean_h",
    "t_m2",
    "t_y",
    "cos_1h",
    "sin_1h",
    "last",
    "acf_1h",
    "acf_24h",
    "acf_7d",
    "season_24h_strength",
    "season_7d_strength",
];

/// Columns that only a series' first row has.
const NUMBERS_OF_FIRST: usize = 6;

/// Which window a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The short one.
    Short,
    /// The long one.
    Long,
}

impl Window {
    const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
        }
    }
}

/// One window of one KPI of one sample.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Name of the KPI.
    pub kpi: &'a str,
    /// Which window.
    pub window: Window,
    /// Sampling step, in seconds.
    pub step_s: f64,
    /// Samples that there would be if none were missing.
    pub places: f64,
    /// Newest value.
    pub last: Option<f64>,
    /// Seasons and autocorrelation.
    pub rhythm: &'a Rhythm,
}

/// Schema of the window table.
pub fn schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("series", DataType::UInt32, false),
        Field::new("kpi", DataType::Utf8View, false),
        Field::new("window_name", DataType::Utf8View, false),
        Field::new("histogram", DataType::Binary, false),
    ];
    fields.extend(NUMBERS.iter().map(|name| Field::new(*name, DataType::Float64, true)));
    Arc::new(Schema::new(fields))
}

/// Builds the window table, a series after the other.
pub struct TableBuilder {
    schema: SchemaRef,
    series: UInt32Builder,
    kpi: StringViewBuilder,
    window: StringViewBuilder,
    histogram: BinaryBuilder,
    numbers: Vec<Float64Builder>,
    series_count: u32,
}

impl TableBuilder {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            schema: schema(),
            series: UInt32Builder::new(),
            kpi: StringViewBuilder::new(),
            window: StringViewBuilder::new(),
            histogram: BinaryBuilder::new(),
            numbers: NUMBERS.iter().map(|_| Float64Builder::new()).collect(),
            series_count: 0,
        }
    }

    /// Series in the table.
    pub fn series(&self) -> u32 {
        self.series_count
    }

    /// Appends the rows of one series: its parts, each with its histogram.
    pub fn push(&mut self, series: Series<'_>, parts: &[(Aggregate, &[u8])]) {
        for (i, (aggregate, histogram)) in parts.iter().enumerate() {
            self.series.append_value(self.series_count);
            self.kpi.append_value(series.kpi);
            self.window.append_value(series.window.name());
            self.histogram.append_value(histogram);
            self.push_numbers(&series, aggregate, i == 0);
        }
        self.series_count += 1;
    }

    fn push_numbers(&mut self, series: &Series<'_>, aggregate: &Aggregate, is_first: bool) {
        let moments = &aggregate.moments;
        let known = |value: f64| (moments.count > 0).then_some(value);
        let strength = |season: &Option<prescale_domain::fingerprint::Season>| season.as_ref().map(|s| s.strength);
        let of_all = [
            Some(series.step_s),
            Some(if is_first { series.places } else { 0.0 }),
            Some(moments.count as f64),
            known(moments.y_mean),
            known(moments.y_m2),
            known(aggregate.min),
            known(aggregate.max),
            known(moments.x_mean),
            known(moments.x_m2),
            known(moments.xy),
            known(aggregate.cos_1h),
            known(aggregate.sin_1h),
        ];
        let [acf_1h, acf_24h, acf_7d] = series.rhythm.acf;
        let of_first: [Option<f64>; NUMBERS_OF_FIRST] = [
            series.last,
            acf_1h,
            acf_24h,
            acf_7d,
            strength(&series.rhythm.season_24h),
            strength(&series.rhythm.season_7d),
        ];
        let values = of_all.into_iter().chain(of_first.map(|value| value.filter(|_| is_first)));
        for (column, value) in self.numbers.iter_mut().zip(values) {
            column.append_option(value);
        }
    }

    /// The table; the builder is empty afterwards.
    ///
    /// # Errors
    /// When Arrow refuses the columns.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.series.finish()),
            Arc::new(self.kpi.finish()),
            Arc::new(self.window.finish()),
            Arc::new(self.histogram.finish()),
        ];
        columns.extend(self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        self.series_count = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

impl Default for TableBuilder {
    fn default() -> Self {
        Self::new()
    }
}
