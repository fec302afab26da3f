//! What a misspelt name was meant to be.

/// The candidate that differs from `word` by few letters, if there is one.
pub(crate) fn near<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = candidates.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= near_letters(word)).min().map(|(_, candidate)| candidate)
}

fn near_letters(word: &str) -> usize {
    (word.len() / 3).max(2)
}

/// The candidate nearest to `word`; `None` when none is near.
pub fn nearest_name<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let best = candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= near_letters(word) || c.starts_with(word) || word.starts_with(c))
        .min();
    best.map(|(_, candidate)| candidate)
}

/// A hint with the candidate nearest to `word`, or with all candidates when none is near.
pub fn hint<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let mut candidates: Vec<&str> = candidates.collect();
    candidates.sort_unstable();
    match nearest_name(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None if candidates.is_empty() => "there are none here".to_owned(),
        None => format!("known are: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{hint, near};

    #[test]
    fn the_nearest_or_all() {
        let keys = ["cooldown_s", "horizon_s", "dry_run"];
        assert_eq!(hint("coldown_s", keys.into_iter()), "did you mean \"cooldown_s\"?");
        assert_eq!(hint("dry_runs", keys.into_iter()), "did you mean \"dry_run\"?");
        assert_eq!(hint("colour", keys.into_iter()), "known are: cooldown_s, dry_run, horizon_s");
        assert_eq!(near("dry_runs", keys.into_iter()), Some("dry_run"));
        assert_eq!(near("dry", keys.into_iter()), None, "it is a part of one, not one misspelt");
        assert_eq!(hint("x", std::iter::empty()), "there are none here");
    }
}
