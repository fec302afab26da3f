//! What a record is as serde sees it, a private mirror of its Avro schema, and how it breaks its contract.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A field that breaks its contract.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl Fault {
    pub(crate) fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }

    /// An enum symbol that this build has no value for.
    pub(crate) fn unknown_symbol(field: &str) -> Self {
        Self::new(field, "a symbol that this build does not know: upgrade this service")
    }
}

/// A mirror of one Avro record.
pub(crate) trait Wire: Serialize + DeserializeOwned {
    /// What it mirrors in the domain.
    type Domain;
    /// Name of the Avro record.
    const RECORD: &'static str;

    fn of(value: &Self::Domain) -> Self;

    /// That what the mirror leaves out follows from what it says, as readers will take it to.
    fn follows(_value: &Self::Domain) -> Result<(), Fault> {
        Ok(())
    }

    /// Whom it is about, unchecked, for errors.
    fn workload(&self) -> &str;

    /// The rules that bind writers and readers alike.
    fn check(&self) -> Result<(), Fault>;

    /// After [`Wire::check`]; refuses what the domain has no value for.
    fn into_domain(self) -> Result<Self::Domain, Fault>;
}
