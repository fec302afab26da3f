//! A store of models: versions, and the history of what is in use.

use prescale_domain::time::EventTime;
use prescale_inference::store::{ModelStore, Pinned, SWITCHES_FILE, Shape, StoreError, Switch, Verdict, predecessor};
use prescale_inference::testing::Formula;
use prescale_inference::{Kind, Refusal};
use std::fs;

fn switch(from_s: Option<i64>, version: Option<&str>) -> Switch {
    let pinned = |version: &str| Pinned { version: version.to_owned(), manifest_sha256: "ab".repeat(32) };
    Switch { from: from_s.map(EventTime::from_s), to: version.map(pinned), verdict: None }
}

#[test]
fn versions_are_the_folders_of_a_family() {
    let root = tempfile::tempdir().expect("a folder");
    let store = ModelStore::new(root.path());
    assert!(store.versions("lstm").expect("nothing is there").is_empty());
    for version in ["0.2.0", "0.10.0", ".hidden"] {
        let formula = Formula::new("lstm", version, Kind::Windowed { bins: 3 });
        formula.contents().write(&root.path().join("lstm").join(version)).expect("it is written");
    }
    fs::write(root.path().join("lstm/notes"), "no folder").expect("it is written");
    assert_eq!(store.versions("lstm").expect("they are readable"), ["0.10.0", "0.2.0"]);
    let files = store.files("lstm", "0.2.0").expect("they are complete");
    assert_eq!(files.manifest_sha256().len(), 64);
    assert!(matches!(store.files("lstm", "0.3.0"), Err(Refusal::Unreadable { .. })));
    for name in ["", "..", "../svr/1", "/etc", "a b"] {
        assert!(matches!(store.folder("lstm", name), Err(StoreError::Name { .. })), "{name:?}");
        assert!(store.files("lstm", name).is_err());
    }
}

#[test]
fn switches_come_back_in_order_and_a_later_one_takes_the_place_of_what_it_forestalls() {
    let root = tempfile::tempdir().expect("a folder");
    let store = ModelStore::new(root.path());
    assert!(store.switches("svr").expect("nothing is there").is_empty());
    assert!(matches!(store.add("svr", switch(None, Some("1"))), Err(StoreError::Io { verb: "written", .. })));
    fs::create_dir(root.path().join("svr")).expect("it is made");
    let added = [switch(None, Some("1")), switch(Some(600), Some("2")), switch(Some(1200), None)];
    for switch in added.clone() {
        store.add("svr", switch).expect("it is added");
    }
    assert_eq!(store.switches("svr").expect("they are readable"), added);
    store.add("svr", switch(Some(600), Some("3"))).expect("it is added");
    let kept = [switch(None, Some("1")), switch(Some(600), Some("3"))];
    assert_eq!(store.switches("svr").expect("they are readable"), kept);
    // Back before the second one's time has come: there is nothing to switch to.
    store.add("svr", switch(Some(300), Some("1"))).expect("it is added");
    assert_eq!(store.switches("svr").expect("they are readable"), kept[..1]);
}

#[test]
fn what_became_of_a_version_stands_until_it_is_promoted_again() {
    let root = tempfile::tempdir().expect("a folder");
    let store = ModelStore::new(root.path());
    fs::create_dir(root.path().join("svr")).expect("it is made");
    let shape = |kind| Shape { kind, bins_needed: 12, horizons_s: vec![300, 900] };
    let [stateful, windowed] = [Kind::Stateful { state_size: 64 }, Kind::Windowed { bins: 72 }].map(shape);
    let refused = Verdict::Refused("model.onnx: a \"quoted\"\nreason".to_owned());
    let verdicts = [Verdict::Passed(stateful), Verdict::Passed(windowed), refused.clone()];
    let switches = [switch(None, Some("1")), switch(Some(600), Some("2")), switch(Some(1200), Some("3"))];
    for (switch, verdict) in switches.iter().zip(&verdicts) {
        store.add("svr", switch.clone()).expect("it is added");
        let stands = store.judge("svr", switch, verdict.clone()).expect("it is recorded");
        assert_eq!(stands.as_ref(), Some(verdict));
        let stands = store.judge("svr", switch, Verdict::Refused("too late".to_owned())).expect("it is read");
        assert_eq!(stands.as_ref(), Some(verdict), "the first one stands");
    }
    let judged = |store: &ModelStore| -> Vec<Option<Verdict>> {
        let known = store.switches("svr").expect("they are readable");
        known.into_iter().map(|switch| switch.verdict).collect()
    };
    assert_eq!(judged(&store), verdicts.clone().map(Some));
    let elsewhere = switch(Some(1500), Some("3"));
    assert_eq!(store.judge("svr", &elsewhere, refused.clone()).expect("it is read"), None, "there is no such switch");

    // At the same instant again, and later: each is a switch of its own.
    store.add("svr", switches[2].clone()).expect("it is added");
    assert_eq!(judged(&store)[2], None);
    store.judge("svr", &switches[2], refused).expect("it is recorded");
    store.add("svr", switch(Some(2400), Some("4"))).expect("it is added");
    store.add("svr", switch(Some(1800), Some("3"))).expect("it is added");
    assert_eq!(judged(&store).len(), 4, "what was refused is not in use, so the switch is not left out");
    assert_eq!(judged(&store)[3], None);
}

#[test]
fn ways_back_lead_to_what_was_in_use_before() {
    let version = |version: &str| switch(None, Some(version)).to;
    let before = |history: &[(Option<i64>, Option<&str>)]| {
        let switches: Vec<Switch> = history.iter().map(|(from_s, version)| switch(*from_s, *version)).collect();
        predecessor(&switches)
    };
    assert_eq!(before(&[]), None);
    assert_eq!(before(&[(None, Some("1"))]), None);
    assert_eq!(before(&[(Some(300), Some("1"))]), Some(None));
    assert_eq!(before(&[(None, Some("1")), (Some(300), Some("2"))]), Some(version("1")));
    let back = [(Some(300), Some("1")), (Some(600), Some("2")), (Some(900), Some("1"))];
    assert_eq!(before(&back), Some(None), "after one way back the next leads further");
    assert_eq!(before(&[(Some(300), Some("1")), (Some(600), None)]), None);
}

#[test]
fn a_history_that_contradicts_itself_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let store = ModelStore::new(root.path());
    fs::create_dir(root.path().join("svr")).expect("it is made");
    let sha = "ab".repeat(32);
    let named = format!("[[switch]]\nversion = \"1\"\nmanifest_sha256 = \"{sha}\"\n");
    let passed = "[switch.passed]\nbins_needed = 12\nhorizons_s = [300]\n";
    for (text, says) in [
        ("[[switch]]\nfrom_s = 5\nversion = \"1\"\n".to_owned(), "version and manifest_sha256"),
        ("[[switch]]\n".to_owned(), "version and manifest_sha256"),
        ("[[switch]]\nfrom_s = 5\n[[switch]]\nfrom_s = 4\n".to_owned(), "order of their instants"),
        (format!("[[switch]]\nversion = \"../1\"\nmanifest_sha256 = \"{sha}\"\n"), "take letters"),
        ("[[switch]]\nform_s = 5\n".to_owned(), "unknown field"),
        ("[[switch]]\nfrom_s = 5\nrefused = \"so\"\n".to_owned(), "only a version"),
        (format!("{named}refused = \"so\"\n{passed}state_size = 4\n"), "not both"),
        (format!("{named}{passed}state_size = 4\nwindow_bins = 4\n"), "state_size or window_bins"),
        (format!("{named}{passed}window_bins = 0\n"), "state_size or window_bins"),
    ] {
        fs::write(root.path().join("svr").join(SWITCHES_FILE), &text).expect("it is written");
        let error = store.switches("svr").expect_err("it is refused").to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}
