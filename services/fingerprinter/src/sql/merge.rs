//! Our own aggregate functions for DataFusion: they merge what the window table's rows hold.
//!
//! Each is a value that merges rows into itself ([`Mergeable`]); the rest is the same for all:
//! state and input have the same columns, so merging states is the same as merging rows.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::compute::{not, nullif};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

/// What one group has merged so far.
pub trait Mergeable: Clone + Default + Debug + Send + Sync + 'static {
    /// Name of the function in SQL.
    const NAME: &'static str;

    /// Types of the arguments, which are also those of the state.
    fn arguments() -> Vec<DataType>;

    /// Fields of the resulting struct.
    fn results() -> Fields;

    /// Merges rows: row `i` into group `group_of(i)`, where that is some.
    ///
    /// # Errors
    /// When the arguments have other types.
    fn merge_rows(groups: &mut [Self], arguments: &[ArrayRef], group_of: impl Fn(usize) -> Option<usize>)
    -> Result<()>;

    /// The groups as rows that can be merged again.
    ///
    /// # Errors
    /// When Arrow refuses.
    fn state(groups: &[Self]) -> Result<Vec<ArrayRef>>;

    /// The groups' results, a struct of [`Mergeable::results`].
    ///
    /// # Errors
    /// When Arrow refuses.
    fn evaluate(groups: &[Self]) -> Result<ArrayRef>;

    /// Bytes on the heap of one group.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The function in SQL that merges `M`.
pub fn function<M: Mergeable>() -> AggregateUDF {
    AggregateUDF::from(MergeFunction::<M> {
        signature: Signature::exact(M::arguments(), Volatility::Immutable),
        merges: PhantomData,
    })
}

struct MergeFunction<M> {
    signature: Signature,
    merges: PhantomData<fn() -> M>,
}

impl<M: Mergeable> Debug for MergeFunction<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(M::NAME)
    }
}

impl<M: Mergeable> PartialEq for MergeFunction<M> {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl<M: Mergeable> Eq for MergeFunction<M> {}

impl<M: Mergeable> Hash for MergeFunction<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        M::NAME.hash(state);
    }
}

impl<M: Mergeable> AggregateUDFImpl for MergeFunction<M> {
    fn name(&self) -> &str {
        M::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _argument_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(M::results()))
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(M::default())))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |(i, kind)| Arc::new(Field::new(format!("{}[{i}]", arguments.name), kind, true));
        Ok(M::arguments().into_iter().enumerate().map(field).collect())
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        !arguments.is_distinct
    }

    fn create_groups_accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::<M>(Vec::new())))
    }
}

#[derive(Debug)]
struct OneGroup<M>(M);

impl<M: Mergeable> Accumulator for OneGroup<M> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        M::merge_rows(std::slice::from_mut(&mut self.0), values, |_| Some(0))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&M::evaluate(std::slice::from_ref(&self.0))?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.heap_bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = M::state(std::slice::from_ref(&self.0))?;
        columns.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

struct Groups<M>(Vec<M>);

impl<M: Mergeable> GroupsAccumulator for Groups<M> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.resize(total_num_groups, M::default());
        let is_kept = |row: usize| opt_filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        M::merge_rows(&mut self.0, values, |row| group_indices.get(row).copied().filter(|_| is_kept(row)))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        M::evaluate(&emit_to.take_needed(&mut self.0))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        M::state(&emit_to.take_needed(&mut self.0))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(filter) = opt_filter else { return Ok(values.to_vec()) };
        let dropped = not(filter)?;
        values.iter().map(|column| Ok(nullif(column, &dropped)?)).collect()
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<M>() + self.0.iter().map(M::heap_bytes).sum::<usize>()
    }
}
