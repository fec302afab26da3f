//! The files of a trace, and how DataFusion opens them: text becomes Parquet first.

use super::known::mapping_for;
use super::mapping::Mapping;
use super::text::{Converted, TextFiles, is_parquet};
use anyhow::{Context as _, Result, bail, ensure};
use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The files that a path names: one, all of a folder by name, or all that a pattern with `*` and `?` fits.
///
/// # Errors
/// When there is none.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let shown = path.display();
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let is_shown = |file: &PathBuf| file.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("[collector.replay] file = \"{shown}\""))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<_, _>>().with_context(|| format!("[collector.replay] file = \"{shown}\""))?
    } else {
        let pattern = path.to_string_lossy();
        ensure!(pattern.contains(['*', '?']), "[collector.replay] file = \"{shown}\": there is no such file");
        glob::glob(&pattern)
            .with_context(|| format!("[collector.replay] file = \"{shown}\""))?
            .collect::<Result<_, _>>()?
    };
    files.retain(|file| file.is_file() && is_shown(file));
    files.sort_unstable();
    ensure!(!files.is_empty(), "[collector.replay] file = \"{shown}\": there is no file");
    Ok(files)
}

/// What DataFusion reads, which holds what it reads from.
pub(super) struct Source {
    /// The Parquet files.
    paths: Vec<PathBuf>,
    /// What was text.
    converted: Option<Converted>,
    /// The mapping, where it is known before the files are open.
    mapping: Option<Mapping>,
}

impl Source {
    /// Of a path, under a mapping, which is empty where the trace is to be known by its columns.
    ///
    /// # Errors
    /// When the files cannot be read, or their columns tell no trace that is known.
    pub(super) async fn of(path: &Path, given: &Mapping) -> Result<Self> {
        let paths = files_of(path)?;
        let mut parquet = Vec::with_capacity(paths.len());
        for path in &paths {
            let is_parquet = is_parquet(path);
            parquet.push(is_parquet.with_context(|| format!("[collector.replay] file = \"{}\"", path.display()))?);
        }
        if parquet.iter().all(|is_parquet| *is_parquet) {
            return Ok(Self { paths, converted: None, mapping: None });
        }
        if parquet.contains(&true) {
            bail!(
                "[collector.replay] file = \"{}\": some files are Parquet and some are text: give one kind",
                path.display()
            );
        }
        let text = TextFiles::find(paths, given)?;
        let mapping = mapping_for(given, &text.columns().collect::<Vec<_>>())?;
        let converted = converted(text, &mapping).await?;
        let paths = vec![converted.file.path().to_owned()];
        Ok(Self { paths, converted: Some(converted), mapping: Some(mapping) })
    }

    /// What the account has to say of the files.
    pub(super) fn notes(&self) -> &[String] {
        self.converted.as_ref().map_or(&[], |converted| converted.notes.as_slice())
    }

    /// In words, a place in the text.
    pub(super) fn place(&self, place: i64) -> String {
        self.converted.as_ref().map_or_else(String::new, |converted| converted.place(place))
    }

    /// Its mapping: the one that was found, or the one for these columns.
    ///
    /// # Errors
    /// When the columns tell no trace that is known.
    pub(super) fn mapping(&self, given: &Mapping, columns: &[&str]) -> Result<Mapping> {
        match &self.mapping {
            Some(mapping) => Ok(mapping.clone()),
            None => mapping_for(given, columns),
        }
    }

    /// Opens it, with memory of its own; by so many threads.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn read(
        &self,
        memory_bytes_max: usize,
        partitions: Option<usize>,
    ) -> Result<(SessionContext, DataFrame)> {
        let mut urls = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let shown = path.display();
            let path = path.canonicalize().with_context(|| format!("[collector.replay] file = \"{shown}\""))?;
            let url = url::Url::from_file_path(&path)
                .map_err(|()| anyhow::anyhow!("[collector.replay] file = \"{shown}\": its path cannot be used"))?;
            urls.push(url.to_string());
        }
        let context = session(memory_bytes_max, partitions)?;
        let shown = self.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        // Files are told by what they hold, not by how their names end.
        let opened = context.read_parquet(urls, ParquetReadOptions::default().file_extension("")).await;
        let rows =
            opened.map_err(|e| anyhow::anyhow!("[collector.replay] file = \"{shown}\": {}", e.strip_backtrace()))?;
        Ok((context, rows))
    }
}

/// The text as Parquet, read by a thread that may wait. When this is dropped the thread ends.
async fn converted(text: TextFiles, mapping: &Mapping) -> Result<Converted> {
    let (mapping, stop) = (mapping.clone(), CancellationToken::new());
    let _stops_it = stop.clone().drop_guard();
    let reading = tokio::task::spawn_blocking(move || text.convert(&mapping, &stop));
    reading.await.context("the thread that reads the trace panicked")?
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
mod tests {
    use super::*;

    #[test]
    fn a_file_a_folder_and_a_pattern_name_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", ".hidden", "c.txt"] {
            std::fs::write(folder.path().join(name), "x\n1\n").unwrap();
        }
        let names = |path: &Path| -> Vec<String> {
            let files = files_of(path).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(folder.path()), ["a.csv", "b.csv", "c.txt"]);
        assert_eq!(names(&folder.path().join("*.csv")), ["a.csv", "b.csv"]);
        assert_eq!(names(&folder.path().join("c.txt")), ["c.txt"]);
        for none in ["none.csv", "*.json"] {
            assert!(files_of(&folder.path().join(none)).unwrap_err().to_string().contains("there is no"), "{none}");
        }
    }
}
