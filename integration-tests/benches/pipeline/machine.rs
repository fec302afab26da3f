//! What the system says of this process and of a folder.

use std::path::Path;

/// Cores that there are.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Peak resident memory of this process so far, in MB; 0 where the system does not say.
pub(crate) fn peak_memory_mb() -> f64 {
    status_kb("VmHWM:") / 1024.0
}

/// Resident memory of this process now, in KiB; 0 where the system does not say.
pub(crate) fn resident_kib() -> f64 {
    status_kb("VmRSS:")
}

/// As much of it as is no page of a file: what is allocated, and what the allocator has not given back.
pub(crate) fn allocated_kib() -> f64 {
    status_kb("RssAnon:")
}

/// As much of it as is pages of files: the program, and the index of the log's journal.
pub(crate) fn of_files_kib() -> f64 {
    status_kb("RssFile:") + status_kb("RssShmem:")
}

fn status_kb(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0)
}

/// Bytes of all files in a folder and below.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it is readable"));
    let bytes = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().expect("it is there");
        if metadata.is_dir() { folder_bytes(&entry.path()) } else { metadata.len() }
    };
    entries.map(bytes).sum()
}
