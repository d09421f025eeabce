//! One value for each variant of an enum.

/// Makes the struct that has a field for each variant, and the list of all variants in the same order. A variant that is
/// missing, in either, does not compile.
macro_rules! one_value_for_each {
    ($(#[$doc:meta])* $per:ident of $kind:ident { $($field:ident: $variant:ident),+ }) => {
        impl $kind {
            pub const ALL: [$kind; [$($kind::$variant),+].len()] = [$($kind::$variant),+];
        }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $per<T> {
            $(pub $field: T),+
        }

        impl<T> $per<T> {
            pub fn new(mut of: impl FnMut($kind) -> T) -> $per<T> {
                $per { $($field: of($kind::$variant)),+ }
            }

            /// The same for each.
            pub const fn of_each(value: T) -> $per<T>
            where
                T: Copy,
            {
                $per { $($field: value),+ }
            }

            /// In the order of `ALL`.
            pub fn values(&self) -> impl Iterator<Item = &T> {
                [$(&self.$field),+].into_iter()
            }

            /// In the order of `ALL`.
            pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
                [$(&mut self.$field),+].into_iter()
            }
        }

        impl<T> std::ops::Index<$kind> for $per<T> {
            type Output = T;

            fn index(&self, kind: $kind) -> &T {
                match kind {
                    $($kind::$variant => &self.$field),+
                }
            }
        }

        impl<T> std::ops::IndexMut<$kind> for $per<T> {
            fn index_mut(&mut self, kind: $kind) -> &mut T {
                match kind {
                    $($kind::$variant => &mut self.$field),+
                }
            }
        }
    };
}

pub(crate) use one_value_for_each;

#[cfg(test)]
mod tests {
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Side {
        Left,
        Right,
    }

    one_value_for_each! {
        PerSide of Side { left: Left, right: Right }
    }

    #[test]
    fn each_variant_has_its_own_field_in_the_order_of_all() {
        let mut all = PerSide::new(|side| side);
        assert_eq!([all.left, all.right], Side::ALL);
        assert!(all.values().eq(&Side::ALL) && all.values_mut().map(|side| *side).eq(Side::ALL));
        for side in Side::ALL {
            assert_eq!(all[side], side);
            all[side] = Side::Left;
        }
        assert_eq!(all, PerSide::of_each(Side::Left));
    }
}
