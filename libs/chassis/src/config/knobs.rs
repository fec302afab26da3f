//! A part of the rules as a section of the configuration: its keys are the part's own knobs, with their defaults.

use prescale_domain::knob::{Knob, Knobs};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A section that sets a part of the rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnobSection<K>(pub K);

impl<K> Deref for KnobSection<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K> DerefMut for KnobSection<K> {
    fn deref_mut(&mut self) -> &mut K {
        &mut self.0
    }
}

impl<K: Knobs + Clone> Serialize for KnobSection<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = Vec::new();
        self.0.clone().knobs(&mut |name: &'static str, knob: Knob<'_>| shown.push((name, Shown::of(&knob))));
        serializer.collect_map(shown)
    }
}

/// What a knob is set to.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Number(f64),
    Count(u32),
    Seed(u64),
    Flag(bool),
    Word(Option<&'static str>),
}

impl Shown {
    fn of(knob: &Knob<'_>) -> Self {
        match knob {
            Knob::Number { value, unit } => Self::Number(**value / unit),
            Knob::Bound { value, unit } => Self::Number(value.unwrap_or(0.0) / unit),
            Knob::Count(value) => Self::Count(**value),
            Knob::CountBound(value) => Self::Count(value.unwrap_or(0)),
            Knob::Seed(value) => Self::Seed(**value),
            Knob::Flag(value) => Self::Flag(**value),
            Knob::Word(value) => Self::Word(value.words().get(value.place()).copied()),
        }
    }
}

impl<'de, K: Knobs + Default> Deserialize<'de> for KnobSection<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KnobVisitor(PhantomData))
    }
}

struct KnobVisitor<K>(PhantomData<K>);

impl<'de, K: Knobs + Default> Visitor<'de> for KnobVisitor<K> {
    type Value = KnobSection<K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a section")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KnobSection<K>, A::Error> {
        let mut section = KnobSection(K::default());
        while let Some(key) = map.next_key::<String>()? {
            section.take(&key, &mut map)?;
        }
        Ok(section)
    }
}

impl<K: Knobs> KnobSection<K> {
    /// Takes the value of a key that was just read; of one that it does not have whoever reads the file tells. For
    /// sections that have keys and tables beside it.
    ///
    /// # Errors
    /// When the value does not fit.
    pub fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let mut taken = None;
        self.0.knobs(&mut |name: &'static str, knob: Knob<'_>| {
            if name == key {
                taken = Some(take(knob, map));
            }
        });
        match taken {
            Some(taken) => taken,
            None => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

fn take<'de, A: MapAccess<'de>>(knob: Knob<'_>, map: &mut A) -> Result<(), A::Error> {
    match knob {
        Knob::Number { value, unit } => *value = map.next_value::<f64>()? * unit,
        Knob::Bound { value, unit } => *value = Some(map.next_value::<f64>()? * unit).filter(|bound| *bound != 0.0),
        Knob::Count(value) => *value = map.next_value()?,
        Knob::CountBound(value) => *value = Some(map.next_value::<u32>()?).filter(|bound| *bound > 0),
        Knob::Seed(value) => *value = map.next_value()?,
        Knob::Flag(value) => *value = map.next_value()?,
        Knob::Word(value) => {
            let place = map.next_value_seed(PlaceIn(value.words()))?;
            value.set(place);
        }
    }
    Ok(())
}

/// Reads which of the words it is.
struct PlaceIn(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for PlaceIn {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        let word = String::deserialize(deserializer)?;
        let place = self.0.iter().position(|known| *known == word);
        place.ok_or_else(|| D::Error::unknown_variant(&word, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::guardrail::Guardrails;
    use prescale_domain::policy::Proactive;
    use prescale_domain::policy::proactive::AimName;

    #[test]
    fn what_is_written_is_read_again_and_what_is_left_out_has_its_default() {
        let mut guardrails = KnobSection::<Guardrails>::default();
        guardrails.bounds.memory_bytes_min = 512.0 * 1_048_576.0;
        guardrails.bounds.cpu_cores_max = Some(3.0);
        guardrails.step.replicas_max = Some(2);
        guardrails.pace.warm_up_s = 9;
        let text = toml::to_string(&guardrails).unwrap();
        assert!(text.contains("memory_mib_min = 512.0\n") && text.contains("memory_mib_max = 0.0\n"), "{text}");
        assert_eq!(toml::from_str::<KnobSection<Guardrails>>(&text).unwrap(), guardrails);
        let read: KnobSection<Guardrails> =
            toml::from_str("cpu_cores_max = 0\nstep_replicas_max = 0\nwarm_up_s = 5").unwrap();
        assert_eq!((read.bounds.cpu_cores_max, read.step.replicas_max, read.pace.warm_up_s), (None, None, 5));
        assert_eq!(read.pace.valid_for_s, Guardrails::default().pace.valid_for_s);
    }

    #[test]
    fn a_word_is_one_of_those_that_there_are() {
        let read: KnobSection<Proactive> = toml::from_str("aim = \"unmet-share\"").unwrap();
        assert_eq!(read.aim, AimName::UnmetShare);
        assert!(toml::to_string(&read).unwrap().contains("aim = \"unmet-share\"\n"));
        let error = toml::from_str::<KnobSection<Proactive>>("hold_s = 5\naim = \"beat\"").unwrap_err();
        assert!(error.message().starts_with("unknown variant `beat`, expected one of `beat-reactive`"), "{error}");
        assert_eq!(error.span(), Some(17..23), "{error}");
    }
}
