//! The least capacity that covers a demand that is known in advance: the bound that no policy passes.

/// Per step the least capacity that is never below the demand. With `changes_max` it is cut into at most so many
/// parts of one capacity each, so that their sum is least: an exact dynamic program, as for histograms
/// (Jagadish et al. 1998, "Optimal Histograms with Quality Guarantees"), over steps² × parts.
pub fn least_capacity(demands: &[f64], changes_max: Option<usize>) -> Vec<f64> {
    match changes_max {
        Some(parts) if parts < demands.len() => in_parts(demands, parts.max(1)),
        _ => demands.to_vec(),
    }
}

fn in_parts(demands: &[f64], parts: usize) -> Vec<f64> {
    let steps = demands.len();
    // By end: the least sum over the steps before it.
    let mut sums = vec![f64::INFINITY; steps + 1];
    sums[0] = 0.0;
    let mut begins: Vec<Vec<usize>> = Vec::with_capacity(parts);
    for _ in 0..parts {
        let (next, begin) = (0..=steps).map(|end| last_part(demands, &sums, end)).unzip();
        sums = next;
        begins.push(begin);
    }
    let mut capacity = vec![0.0; steps];
    let mut end = steps;
    for begin in begins.iter().rev() {
        let first = begin[end];
        let most = demands[first..end].iter().copied().fold(0.0, f64::max);
        capacity[first..end].fill(most);
        end = first;
    }
    capacity
}

/// The least sum over the steps before `end` with one part more than `sums` are of, and where that part begins.
fn last_part(demands: &[f64], sums: &[f64], end: usize) -> (f64, usize) {
    let mut least = (if end == 0 { 0.0 } else { f64::INFINITY }, 0);
    let mut most = 0.0f64;
    for first in (0..end).rev() {
        most = most.max(demands[first]);
        let sum = sums[first] + most * (end - first) as f64;
        if sum < least.0 {
            least = (sum, first);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_where_the_sum_is_least() {
        let demands = [1.0, 1.0, 5.0, 5.0, 2.0, 1.0];
        assert_eq!(least_capacity(&demands, None), demands);
        assert_eq!(least_capacity(&demands, Some(1)), [5.0; 6]);
        assert_eq!(least_capacity(&demands, Some(3)), [1.0, 1.0, 5.0, 5.0, 2.0, 2.0]);
        assert_eq!(least_capacity(&demands, Some(2)), [1.0, 1.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(least_capacity(&demands, Some(9)), demands);
        assert!(least_capacity(&[], Some(2)).is_empty());
    }
}
