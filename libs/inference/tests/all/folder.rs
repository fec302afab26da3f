//! Model folders: complete, incomplete, oversized, and with links.

use crate::shipped::{expected, folder};
use prescale_inference::{FileLimits, GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, Model, ModelFiles, Refusal};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

fn copied() -> TempDir {
    let copy = TempDir::new().expect("a temporary folder");
    for name in [MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE] {
        fs::copy(folder().join(name), copy.path().join(name)).expect("a copy");
    }
    copy
}

fn read(folder: &Path) -> Result<ModelFiles, Refusal> {
    ModelFiles::from_folder(folder, &FileLimits::default())
}

fn refusal(folder: &Path) -> Refusal {
    read(folder).expect_err("the folder is refused")
}

#[test]
fn the_shipped_folder_loads() {
    let files = read(&folder()).expect("it is complete");
    assert_eq!(files.model(), fs::read(folder().join(MODEL_FILE)).expect("it is there"));
    let model = Model::load(&files, &expected()).expect("it passes the gate");
    assert_eq!((model.features(), model.past_size(), model.quantiles_per_row()), (18, 96, 48));
    assert_eq!(model.horizons_s(), [300, 900, 3600]);
}

#[test]
fn missing_files_are_named() {
    let copy = copied();
    fs::remove_file(copy.path().join(GOLDEN_FILE)).expect("removed");
    fs::remove_file(copy.path().join(MODEL_FILE)).expect("removed");
    let found = refusal(copy.path());
    let Refusal::FilesMissing { missing, .. } = &found else { panic!("{found}") };
    assert_eq!(missing, &[MODEL_FILE, GOLDEN_FILE]);
    assert!(found.to_string().contains("model.onnx, golden.json missing"), "{found}");
    let none = copy.path().join("none");
    let found = refusal(&none);
    assert!(matches!(&found, Refusal::Unreadable { path, .. } if *path == none), "{found}");
}

#[test]
fn files_over_their_limit_are_refused() {
    let copy = copied();
    let length = fs::metadata(copy.path().join(MODEL_FILE)).expect("it is there").len();
    let limits = |model_bytes_max| FileLimits { model_bytes_max, ..FileLimits::default() };
    assert!(ModelFiles::from_folder(copy.path(), &limits(length)).is_ok());
    let found = ModelFiles::from_folder(copy.path(), &limits(length - 1)).expect_err("one byte too many");
    assert!(matches!(&found, Refusal::TooLarge { path, .. } if path.ends_with(MODEL_FILE)), "{found}");
    let huge = fs::File::create(copy.path().join(MANIFEST_FILE)).expect("a file");
    huge.set_len(1 << 40).expect("a sparse file");
    let found = refusal(copy.path());
    assert!(matches!(&found, Refusal::TooLarge { path, .. } if path.ends_with(MANIFEST_FILE)), "{found}");
}

#[test]
fn links_may_stay_inside_of_the_folder_only() {
    let copy = copied();
    let data = copy.path().join("..data");
    fs::create_dir(&data).expect("a folder");
    fs::rename(copy.path().join(MODEL_FILE), data.join(MODEL_FILE)).expect("moved");
    symlink(Path::new("..data").join(MODEL_FILE), copy.path().join(MODEL_FILE)).expect("a link");
    assert!(read(copy.path()).is_ok());

    let outside = TempDir::new().expect("a temporary folder");
    fs::rename(data.join(MODEL_FILE), outside.path().join(MODEL_FILE)).expect("moved");
    fs::remove_dir(&data).expect("removed");
    symlink(outside.path(), &data).expect("a link");
    let found = refusal(copy.path());
    assert!(matches!(&found, Refusal::OutsideFolder { path, .. } if path.ends_with(MODEL_FILE)), "{found}");
}

#[test]
fn a_link_to_nowhere_and_a_folder_are_no_files() {
    let copy = copied();
    fs::remove_file(copy.path().join(MODEL_FILE)).expect("removed");
    symlink("nowhere", copy.path().join(MODEL_FILE)).expect("a link");
    let found = refusal(copy.path());
    assert!(matches!(&found, Refusal::Unreadable { .. }), "{found}");
    fs::remove_file(copy.path().join(MODEL_FILE)).expect("removed");
    fs::create_dir(copy.path().join(MODEL_FILE)).expect("a folder");
    let found = refusal(copy.path());
    assert!(matches!(&found, Refusal::NotAFile { .. }), "{found}");
}

#[test]
fn a_linked_folder_is_the_folder() {
    let copy = copied();
    let elsewhere = TempDir::new().expect("a temporary folder");
    let link = elsewhere.path().join("gru");
    symlink(copy.path(), &link).expect("a link");
    assert!(read(&link).is_ok());
}
