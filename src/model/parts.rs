//! Much of something, in parts: whoever takes it does other things between two of them.

/// What `all` holds, in its order, in parts of `part_max` at most; the last one may be smaller, and none is empty.
pub(crate) fn in_parts<T>(all: impl IntoIterator<Item = T>, part_max: usize) -> impl Iterator<Item = Vec<T>> {
    let mut all = all.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = all.by_ref().take(part_max).collect();
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_in_its_order_and_no_part_is_empty() {
        for (count, parts) in [(0, vec![]), (1, vec![1]), (4, vec![2, 2]), (5, vec![2, 2, 1])] {
            let told: Vec<Vec<usize>> = in_parts(0..count, 2).collect();
            assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), parts);
            assert_eq!(told.concat(), (0..count).collect::<Vec<_>>());
        }
    }
}
