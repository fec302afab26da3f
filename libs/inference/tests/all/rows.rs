//! A row's result: onnxruntime's numbers, and the same bits whatever is computed beside it.

use crate::shipped::{Changed, model};
use prescale_inference::{BLOCK_ROWS, InferenceError, Model, StepOutput};
use proptest::prelude::*;
use serde_json::Value;

const FEATURES: usize = 18;
const STATE: usize = 96;
const QUANTILES: usize = 48;

fn step(model: &Model, x: &[f32], h: &[f32]) -> StepOutput {
    let mut out = StepOutput::default();
    model.step(x, h, &mut out).expect("the lengths fit");
    out
}

/// Bits of one row's quantiles and state.
fn bits(out: &StepOutput, row: usize) -> Vec<u32> {
    let q = &out.q[row * QUANTILES..][..QUANTILES];
    let h_out = &out.h_out[row * STATE..][..STATE];
    q.iter().chain(h_out).map(|v| v.to_bits()).collect()
}

fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number") as f32],
    }
}

/// Rows of features within their bounds, with states as they come; flattened.
fn rows(count: impl Strategy<Value = usize>) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    let feature = prop_oneof![Just(0.0f32), Just(1.0), Just(20.0), Just(-20.0), -1.0f32..1.0, -20.0f32..20.0];
    count.prop_flat_map(move |count| {
        let x = proptest::collection::vec(feature.clone(), count * FEATURES);
        let h = proptest::collection::vec(-1.0f32..1.0, count * STATE);
        (x, h)
    })
}

fn picked(numbers: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    order.iter().flat_map(|row| numbers[row * width..][..width].to_vec()).collect()
}

#[test]
fn golden_steps_give_onnxruntimes_numbers() {
    let golden: Value = serde_json::from_str(&Changed::none().golden).expect("JSON");
    let tolerance = golden["tolerance"].as_f64().expect("a number") as f32;
    let model = model();
    let mut h = vec![0.0; 3 * STATE];
    let mut apart = 0.0f32;
    for wanted in golden["steps"].as_array().expect("steps") {
        let out = step(model, &numbers(&wanted["x"]), &h);
        assert_eq!(out.finite, [true; 3]);
        let wanted: Vec<f32> = [&wanted["q"], &wanted["h_out"]].into_iter().flat_map(numbers).collect();
        assert_eq!(out.q.len() + out.h_out.len(), wanted.len());
        for (got, wanted) in out.q.iter().chain(&out.h_out).zip(wanted) {
            apart = apart.max((got - wanted).abs());
        }
        h = out.h_out;
    }
    println!("largest difference from onnxruntime: {apart:e}");
    assert!(apart <= tolerance, "{apart:e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_row_gives_the_same_bits_in_any_company((x, h) in rows(1..3 * BLOCK_ROWS), seed in any::<u64>()) {
        let model = model();
        let count = x.len() / FEATURES;
        let together = step(model, &x, &h);
        for row in 0..count {
            let alone = step(model, &x[row * FEATURES..][..FEATURES], &h[row * STATE..][..STATE]);
            prop_assert_eq!(bits(&alone, 0), bits(&together, row), "row {} of {}", row, count);
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|row| (*row as u64 + 1).wrapping_mul(seed | 1).rotate_left(17));
        let shuffled = step(model, &picked(&x, FEATURES, &order), &picked(&h, STATE, &order));
        for (place, row) in order.into_iter().enumerate() {
            prop_assert_eq!(bits(&shuffled, place), bits(&together, row), "row {} at {}", row, place);
        }
    }

    #[test]
    fn quantiles_ascend_and_are_finite((x, h) in rows(1..BLOCK_ROWS)) {
        let out = step(model(), &x, &h);
        prop_assert!(out.finite.iter().all(|finite| *finite));
        for q in out.q.chunks(8) {
            prop_assert!(q.is_sorted_by(|a, b| b - a >= -1e-5 * (1.0 + b.abs())), "{:?}", q);
        }
    }

    #[test]
    fn a_row_that_is_not_finite_spoils_no_other(
        (x, h) in rows(2..BLOCK_ROWS + 8),
        at in any::<prop::sample::Index>(),
        column in 0..FEATURES + STATE,
        bad in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
    ) {
        let model = model();
        let count = x.len() / FEATURES;
        let good = step(model, &x, &h);
        let spoilt = at.index(count);
        let (mut x, mut h) = (x, h);
        match column.checked_sub(FEATURES) {
            None => x[spoilt * FEATURES + column] = bad,
            Some(column) => h[spoilt * STATE + column] = bad,
        }
        let out = step(model, &x, &h);
        for row in 0..count {
            prop_assert_eq!(out.finite[row], row != spoilt);
            if row != spoilt {
                prop_assert_eq!(bits(&out, row), bits(&good, row));
            }
        }
    }
}

/// Rows that differ, from a formula.
fn some_rows(count: usize) -> (Vec<f32>, Vec<f32>) {
    let wave = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    ((0..count * FEATURES).map(wave).collect(), (0..count * STATE).map(|i| wave(i + 7)).collect())
}

#[test]
fn loading_again_gives_the_same_bits() {
    let (x, h) = some_rows(100);
    let first = step(model(), &x, &h);
    for _ in 0..5 {
        let again = step(&Changed::none().load().expect("it passes"), &x, &h);
        assert!((0..100).all(|row| bits(&again, row) == bits(&first, row)));
    }
}

#[test]
fn threads_that_share_a_model_get_the_same_bits() {
    let (x, h) = some_rows(BLOCK_ROWS * 3 + 1);
    let wanted = step(model(), &x, &h);
    std::thread::scope(|scope| {
        let (x, h) = (&x, &h);
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(move || (0..10).map(|_| step(model(), x, h)).collect::<Vec<_>>())).collect();
        for thread in threads {
            for out in thread.join().expect("no panic") {
                assert!((0..out.finite.len()).all(|row| bits(&out, row) == bits(&wanted, row)));
            }
        }
    });
}

#[test]
fn no_rows_give_nothing_and_buffers_are_overwritten() {
    let model = model();
    let (x, h) = some_rows(2);
    let mut out = step(model, &x, &h);
    model.step(&x[..FEATURES], &h[..STATE], &mut out).expect("the lengths fit");
    assert_eq!((out.q.len(), out.h_out.len(), out.finite.len()), (QUANTILES, STATE, 1));
    model.step(&[], &[], &mut out).expect("nothing to do");
    assert_eq!(out, StepOutput::default());
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let model = model();
    let (x, h) = some_rows(2);
    for (x, h) in [(&x[1..], &h[..]), (&x[..], &h[1..]), (&x[..FEATURES], &h[..]), (&x[..], &h[..0])] {
        let error = model.step(x, h, &mut StepOutput::default()).expect_err("they do not fit");
        assert!(matches!(error, InferenceError::Lengths { features: FEATURES, past_size: STATE, .. }), "{error}");
    }
}
