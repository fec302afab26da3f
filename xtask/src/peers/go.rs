//! Programs from Go modules, in the user's cache.

use crate::{cache, run};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of the user's cache for what is made of a module and a version.
pub(super) fn folder(module: &str) -> Result<PathBuf> {
    let name: String = module.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let folder = cache()?.join("peers").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A copy of a module (`PATH@VERSION`) that can be built in: `go install` refuses modules that replace others, and those
/// that are not called by their path.
pub(super) fn copied(module: &str) -> Result<PathBuf> {
    let folder = folder(module)?.join("module");
    if folder.join("go.mod").is_file() {
        return Ok(folder);
    }
    let parent = folder.parent().context("the cache has no folder")?;
    eprintln!("xtask: go mod download {module}");
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(parent)
        .output()
        .context("cannot start go: install Go (Debian: golang-go)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let from = field(&said, "Dir")
        .with_context(|| format!("go mod download {module}: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    let part = parent.join("part");
    let _ = fs::remove_dir_all(&part);
    run(Command::new("cp").arg("-R").arg(from).arg(&part))?;
    run(Command::new("chmod").args(["-R", "u+w"]).arg(&part))?;
    fs::rename(&part, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Builds a package of the module in a folder, where that has not been done; with tags, separated by commas.
pub(super) fn build(folder: &Path, program: &Path, package: &str, tags: &str) -> Result<()> {
    if program.is_file() {
        return Ok(());
    }
    if let Some(programs) = program.parent() {
        fs::create_dir_all(programs).with_context(|| format!("cannot make {}", programs.display()))?;
    }
    let args = ["build", "-mod=mod", "-tags", tags, "-o"];
    // A workspace of theirs names modules that are not in this one's copy.
    run(Command::new("go").args(args).arg(program).arg(package).current_dir(folder).env("GOWORK", "off"))?;
    ensure!(program.is_file(), "go build has not made {}", program.display());
    Ok(())
}

/// The text of a field of a JSON object that is written a field a line.
fn field<'t>(json: &'t str, name: &str) -> Option<&'t str> {
    let key = format!("\"{name}\": \"");
    let value = json.lines().find_map(|line| line.trim().strip_prefix(key.as_str()))?;
    value.trim_end_matches(',').strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_module_lies_is_read() {
        let said = "{\n\t\"Path\": \"m\",\n\t\"Dir\": \"/go/m@v1\",\n\t\"Sum\": \"h1:x\"\n}\n";
        assert_eq!(field(said, "Dir"), Some("/go/m@v1"));
        assert_eq!(field(said, "Sum"), Some("h1:x"));
        assert_eq!(field("{\n\t\"Error\": \"no\"\n}\n", "Dir"), None);
    }
}
